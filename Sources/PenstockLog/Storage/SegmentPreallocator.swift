internal import Synchronization

/// Makes the file of the next segment: zero-filled and synced, under a temporary name and without a header. So a full
/// disk stops this preparation and never a commit.
///
/// May be used from any thread; a caller waits for another's preparation instead of starting a second.
package final class SegmentPreallocator: Sendable {
  private let fileSystem: any FileSystem
  private let paths: LogPaths
  private let bytes: UInt64
  private enum State {
    case absent
    /// The file is there.
    case ready
    /// No more files are made: another writer may own the directory by now.
    case ended
  }
  /// Held during the preparation.
  private let state = Mutex(State.absent)

  init(_ fileSystem: any FileSystem, _ paths: LogPaths, bytes: UInt64) {
    self.fileSystem = fileSystem
    self.paths = paths
    self.bytes = bytes
  }

  /// Returns when the file is there. Slow the first time; blocks the calling thread. Throws `.noSpace` on a full disk,
  /// and leaves no file.
  package func prepare() throws(LogError) {
    try state.withLock { state throws(LogError) in
      switch state {
      case .ready: return
      case .ended: throw LogError(.closed, "the log is closed")
      case .absent: break
      }
      do throws(FileSystemError) {
        try make()
      } catch {
        try? fileSystem.remove(paths.unfinishedNext)
        throw LogError(error, while: "prepare the next segment")
      }
      state = .ready
    }
  }

  private func make() throws(FileSystemError) {
    try fileSystem.removeIfPresent(paths.unfinishedNext)
    let file = OpenFile(fileSystem, try fileSystem.open(paths.unfinishedNext, .create))
    try fileSystem.fill(file.handle, zeros: bytes)
    try fileSystem.synchronize(file.handle)
    try fileSystem.rename(paths.unfinishedNext, to: paths.next)
  }

  /// The prepared file is now a segment.
  func taken() { state.withLock { $0 = .absent } }

  /// Makes no more files, and leaves an unused one in place.
  func stop() { state.withLock { $0 = .ended } }

  /// Removes an unused file, and makes no more.
  func end() throws(FileSystemError) {
    try state.withLock { state throws(FileSystemError) in
      state = .ended
      try Self.discard(fileSystem, paths)
    }
  }

  static func discard(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(FileSystemError) {
    try fileSystem.removeIfPresent(paths.next)
    try fileSystem.removeIfPresent(paths.unfinishedNext)
  }
}
