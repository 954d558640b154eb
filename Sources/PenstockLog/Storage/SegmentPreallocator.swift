internal import Synchronization

/// Makes the file of the next segment: zero-filled and synced, under a temporary name and without a header, so that a full
/// disk is met here and never in the middle of a commit.
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
    /// No more files are made: the directory may belong to another writer by now.
    case ended
  }
  /// Held during the preparation.
  private let state = Mutex(State.absent)

  package init(_ fileSystem: any FileSystem, _ paths: LogPaths, bytes: UInt64) {
    self.fileSystem = fileSystem
    self.paths = paths
    self.bytes = bytes
  }

  /// Returns when the file is there. Slow the first time. Throws `.noSpace`, leaving nothing behind, when there is no room.
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
        throw LogError(error, while: "make the next segment ready")
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

  /// Says that the file was taken and is now a segment.
  package func taken() { state.withLock { $0 = .absent } }

  /// Makes no more files, and leaves one that nobody took where it is.
  package func stop() { state.withLock { $0 = .ended } }

  /// Removes a file nobody took, and makes no more.
  package func end() throws(FileSystemError) {
    try state.withLock { state throws(FileSystemError) in
      state = .ended
      try Self.discard(fileSystem, paths)
    }
  }

  package static func discard(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(FileSystemError) {
    try fileSystem.removeIfPresent(paths.next)
    try fileSystem.removeIfPresent(paths.unfinishedNext)
  }
}
