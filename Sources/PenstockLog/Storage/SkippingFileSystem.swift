internal import Synchronization

/// Reads past pages that the disk cannot read. Their bytes become 0xFF, which is no valid block and no valid header,
/// and the pages are noted. For searching intact blocks in a file with such pages. All other verbs are those of `base`.
final class SkippingFileSystem: FileSystem {
  private static let page: UInt64 = 4096
  private let base: any FileSystem
  private let found = Mutex<Set<UInt64>>([])

  init(_ base: any FileSystem) { self.base = base }

  /// Whether a page of `range` could not be read.
  func isUnreadable(_ range: Range<UInt64>) -> Bool {
    guard !range.isEmpty else { return false }
    return found.withLock { found in
      !found.isEmpty && found.contains { range.overlaps($0..<($0 + Self.page)) }
    }
  }

  /// Whether any page could not be read.
  var hasSkipped: Bool { found.withLock { !$0.isEmpty } }

  func read(_ file: OpenFileHandle, into buffer: UnsafeMutableRawBufferPointer, at position: UInt64)
    throws(FileSystemError) -> Int
  {
    do throws(FileSystemError) { return try base.read(file, into: buffer, at: position) } catch {
      guard error.code == .inputOutput, !buffer.isEmpty else { throw error }
    }
    // One page, or the rest of it: the caller reads on after it.
    let start = position / Self.page * Self.page
    let count = min(buffer.count, Int(start + Self.page - position))
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    do throws(FileSystemError) { return try base.read(file, into: part, at: position) } catch {
      guard error.code == .inputOutput else { throw error }
    }
    let size = try base.size(file)
    guard position < size else { return 0 }
    _ = found.withLock { $0.insert(start) }
    let filled = min(count, Int(size - position))
    part[..<filled].initializeMemory(as: UInt8.self, repeating: 0xFF)
    return filled
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileSystemError) -> OpenFileHandle { try base.open(path, mode) }
  func close(_ file: OpenFileHandle) { base.close(file) }
  func write(_ file: OpenFileHandle, _ bytes: UnsafeRawBufferPointer, at position: UInt64) throws(FileSystemError)
    -> Int
  {
    try base.write(file, bytes, at: position)
  }
  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) { try base.fill(file, zeros: length) }
  func synchronize(_ file: OpenFileHandle) throws(FileSystemError) { try base.synchronize(file) }
  func dropCache(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.dropCache(file) }
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) { base.prefetch(file, range) }
  func size(_ file: OpenFileHandle) throws(FileSystemError) -> UInt64 { try base.size(file) }
  func truncate(_ file: OpenFileHandle, to size: UInt64) throws(FileSystemError) { try base.truncate(file, to: size) }
  func rename(_ path: String, to newPath: String) throws(FileSystemError) { try base.rename(path, to: newPath) }
  func replace(_ path: String, with newer: String) throws(FileSystemError) { try base.replace(path, with: newer) }
  func remove(_ path: String) throws(FileSystemError) { try base.remove(path) }
  func list(_ path: String) throws(FileSystemError) -> [String] { try base.list(path) }
  func makeDirectory(_ path: String) throws(FileSystemError) { try base.makeDirectory(path) }
  func synchronizeDirectory(_ path: String) throws(FileSystemError) { try base.synchronizeDirectory(path) }
  func path(_ path: String, names file: OpenFileHandle) throws(FileSystemError) -> Bool {
    try base.path(path, names: file)
  }
  func volume(of path: String) -> VolumeKind? { base.volume(of: path) }
  func lock(_ file: OpenFileHandle) throws(FileSystemError) -> Bool { try base.lock(file) }
}
