@testable import PenstockLog
import PenstockTestKit
import Synchronization

/// The calls of one of several processes on one disk. It can die at any of them: then its handles and its locks are
/// gone, and all its later calls fail.
final class ProcessOnDisk: PassingFileSystem {
  private struct State {
    var handles: Set<OpenFileHandle> = []
    var isDead = false
    /// Calls that are left until it dies.
    var callsLeft: Int?
    /// What another process does before the call with this number.
    var intrusion: (calls: Int, body: @Sendable () -> Void)?
  }
  let base: any FileSystem
  private let state = Mutex(State())

  init(_ base: any FileSystem) { self.base = base }

  var isDead: Bool { state.withLock { $0.isDead } }

  /// Dies before the write, sync or lock of this number from now on; the first is 1.
  func die(atCall number: Int) { state.withLock { $0.callsLeft = number } }

  func live() { state.withLock { $0.callsLeft = nil } }

  /// Runs `body` before the write, sync or lock of this number from now on.
  func intrude(atCall number: Int, _ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.intrusion = (number, body) }
  }

  func kill() {
    let handles = state.withLock { state in
      defer { state.handles = [] }
      state.isDead = true
      return state.handles
    }
    for handle in handles.sorted(by: { $0.rawValue < $1.rawValue }) { base.close(handle) }
  }

  private func call(_ verb: FileSystemError.Verb) throws(FileSystemError) {
    let (isLast, intrusion) = state.withLock { state in
      if let left = state.callsLeft { state.callsLeft = left - 1 }
      state.intrusion?.calls -= 1
      let isIntrusion = state.intrusion?.calls == 0
      defer { if isIntrusion { state.intrusion = nil } }
      return (state.callsLeft == 0, isIntrusion ? state.intrusion?.body : nil)
    }
    intrusion?()
    if isLast { kill() }
    if isDead { throw FileSystemError(.inputOutput, verb: verb, path: "a dead process") }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle {
    if isDead { throw FileSystemError(.inputOutput, verb: .open, path: path) }
    let file = try base.open(path, mode)
    _ = state.withLock { $0.handles.insert(file) }
    return file
  }
  func close(_ file: OpenFileHandle) {
    if state.withLock({ $0.handles.remove(file) }) != nil { base.close(file) }
  }
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int
  {
    try call(.write)
    return try base.write(file, bytes, at: position)
  }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) {
    try call(.synchronize)
    try base.synchronize(file)
  }
  func lock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) -> Bool {
    try call(.lock)
    return try base.lock(file, range)
  }
  func unlock(_ file: OpenFileHandle, _ range: Range<UInt64>) throws(FileSystemError) {
    if !isDead { try base.unlock(file, range) }
  }
}
