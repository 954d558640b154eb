import PenstockDelivery
@testable import PenstockLog
import PenstockTestKit
import Synchronization

/// A file system whose writes and syncs of chosen files stop before they happen, until a test lets them go on. Only for
/// files that the log's own threads write: a task must not be stopped so.
final class GatedFileSystem: PassingFileSystem {
  private struct Gate {
    /// Paths that end in one of these stop.
    var closedFor: [String] = []
    /// Where not every call stops: the one that does.
    var verb: FileSystemError.Verb?
    var failure: FileSystemError.Code?

    func stops(_ path: String, _ verb: FileSystemError.Verb) -> Bool {
      (self.verb ?? verb) == verb && closedFor.contains { path.hasSuffix($0) }
    }
  }
  let base: any FileSystem
  private let gate = Monitor(Gate())
  /// How many calls wait at the gate.
  private let waiting = AsyncCondition(0)
  private let names = Mutex<[OpenFileHandle: String]>([:])
  private let hints = Mutex<[Range<UInt64>]>([])
  private let positions = Mutex<[UInt64]>([])

  /// Locks that another handle had.
  let refusals = Mutex(0)

  /// What was said to be read soon.
  var expected: [Range<UInt64>] { hints.withLock { $0 } }

  /// Where reads began.
  var reads: [UInt64] { positions.withLock { $0 } }

  /// Called once, before the next list of files.
  let beforeList = Mutex<(@Sendable () -> Void)?>(nil)

  private let hooks = Mutex<[String: @Sendable () -> Void]>([:])
  /// Called before each read.
  let beforeRead = Mutex<(@Sendable () -> Void)?>(nil)

  /// Calls `body` once, before the next `lock`, `create`, `rename` or `remove`.
  func once(before verb: String, _ body: @escaping @Sendable () -> Void) { hooks.withLock { $0[verb] = body } }

  private func announce(_ verb: String) { hooks.withLock { $0.removeValue(forKey: verb) }?() }

  private let whenRefused: @Sendable (Int) -> Void

  /// `whenRefused` is told how many locks were refused, each time one is.
  init(_ base: any FileSystem, whenRefused: @escaping @Sendable (Int) -> Void = { _ in }) {
    self.base = base
    self.whenRefused = whenRefused
  }

  /// From now on, writes and syncs of files whose path ends so stop. With `verb` only one of the two does.
  func close(for suffixes: String..., only verb: FileSystemError.Verb? = nil) {
    gate.withLock { ($0.closedFor, $0.verb) = (suffixes, verb) }
    gate.signal()
  }

  /// Lets everything go on; with `failing`, the calls that wait fail.
  func open(failing failure: FileSystemError.Code? = nil) {
    gate.withLock {
      $0.closedFor = []
      $0.failure = failure
    }
    gate.signal()
  }

  /// Returns when a call waits at the gate.
  func arrival() async { _ = await waiting.wait { $0 > 0 } }

  private func pass(_ file: OpenFileHandle, _ verb: FileSystemError.Verb) throws(FileSystemError) {
    let path = names.withLock { $0[file] ?? "" }
    let stops = gate.withLock { gate in
      if gate.stops(path, verb) { waiting.update { $0 += 1 } }
      return gate.stops(path, verb)
    }
    guard stops else { return }
    let failure = gate.wait { gate -> FileSystemError.Code?? in
      guard !gate.stops(path, verb) else { return nil }
      waiting.update { $0 -= 1 }
      return .some(gate.failure)
    }
    gate.signal()
    if let failure { throw FileSystemError(failure, verb: verb, path: path) }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    if mode == .create { announce("create") }
    let file = try base.open(path, mode)
    names.withLock { $0[file] = path }
    return file
  }
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) { hints.withLock { $0.append(range) } }
  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    positions.withLock { $0.append(position) }
    beforeRead.withLock { $0 }?()
    return try base.read(file, into: buffer, at: position)
  }
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int
  {
    try pass(file, .write)
    return try base.write(file, bytes, at: position)
  }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    try pass(file, .synchronize)
    try base.synchronize(file)
  }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) {
    announce("rename")
    try base.rename(path, to: newPath)
    names.withLock { $0 = $0.mapValues { $0 == path ? newPath : $0 } }
  }
  func remove(_ path: String) throws(FileSystemError) {
    announce("remove")
    try base.remove(path)
  }
  func list(_ path: String) throws(FileSystemError) -> [String] {
    let body = beforeList.withLock { body in
      defer { body = nil }
      return body
    }
    body?()
    return try base.list(path)
  }
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool {
    announce("lock")
    let isTaken = try base.lock(file)
    if !isTaken {
      let count = refusals.withLock { count in
        count += 1
        return count
      }
      whenRefused(count)
    }
    return isTaken
  }
}
