internal import Synchronization

/// Reads past pages that the disk cannot read. Their bytes become 0xFF, which is no valid block and no valid header,
/// and the pages are noted. For searching intact blocks in a file with such pages. All other verbs are those of `base`.
final class SkippingFileSystem: PassingFileSystem {
  private static let page: UInt64 = 4096
  let base: any FileSystem
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

  func fill(_ file: OpenFileHandle, zeros length: UInt64) throws(FileSystemError) { try base.fill(file, zeros: length) }
  func prefetch(_ file: OpenFileHandle, _ range: Range<UInt64>) { base.prefetch(file, range) }
  func volume(of path: String) -> VolumeKind? { base.volume(of: path) }
}
