import PenstockDelivery
@testable import PenstockLog
import Synchronization

/// A file system that tells which calls a task made on its own thread, and whose reads of segments stop while a test
/// says so, as on a slow disk. A task's own read does not stop: it would keep the test from going on.
final class ColdFileSystem: PassingFileSystem {
  let base: any FileSystem
  private let isStopped = Monitor(false)
  /// How many reads of segments began while they stop.
  private let arrivals = AsyncCondition(0)
  private let names = Mutex<[OpenFileHandle: String]>([:])
  private let inTasks = Mutex<[String]?>(nil)

  init(_ base: any FileSystem) { self.base = base }

  /// From now on notes the calls that tasks make.
  func watch() { inTasks.withLock { $0 = [] } }

  /// The calls that tasks made on their own threads.
  var callsInTasks: [String] { inTasks.withLock { $0 ?? [] } }

  func stopReads() {
    watch()
    isStopped.withLock { $0 = true }
  }

  func goOn() {
    isStopped.withLock { $0 = false }
    isStopped.signalAll()
  }

  /// Returns when so many reads have begun.
  func arrived(_ count: Int) async { _ = await arrivals.wait { $0 >= count } }

  /// Returns whether a task made the call.
  private func note(_ verb: String, _ path: String) -> Bool {
    guard withUnsafeCurrentTask(body: { $0 != nil }) else { return false }
    inTasks.withLock { $0?.append("\(verb) \(path)") }
    return true
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    _ = note("open", path)
    let file = try base.open(path, mode)
    names.withLock { $0[file] = path }
    return file
  }
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    let path = names.withLock { $0[file] ?? "" }
    let isOfTask = note("read", path)
    if path.hasSuffix(".seg"), isStopped.withLock({ $0 }) {
      arrivals.update { $0 += 1 }
      if !isOfTask { isStopped.wait { $0 ? nil : () } }
    }
    return try base.read(file, into: buffer, at: position)
  }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 {
    _ = note("size", names.withLock { $0[file] ?? "" })
    return try base.size(file)
  }
  func list(_ path: String) throws(FileSystemError) -> [String] {
    _ = note("list", path)
    return try base.list(path)
  }
}
