/// The two copies of a segment's header as they stand in the file, each read for itself where both cannot be read at once: they
/// lie in pages of their own so that one bad sector takes one of them.
struct HeaderCopies {
  /// As many bytes as the file has; zeros in place of a page that cannot be read.
  private(set) var bytes: [UInt8]
  /// Why a copy cannot be read; nil for one that can.
  private(set) var failures: [FileSystemError?] = [nil, nil]

  /// One read; three when it fails. Throws when neither copy can be read.
  init(of file: OpenFileHandle, _ fileSystem: any FileSystem) throws(FileSystemError) {
    do throws(FileSystemError) {
      bytes = try fileSystem.readAll(file, count: SegmentHeader.size, at: 0)
    } catch {
      bytes = []
      for copy in 0..<2 {
        let position = copy * SegmentHeader.pageSize
        do throws(FileSystemError) {
          bytes += try fileSystem.readAll(file, count: SegmentHeader.pageSize, at: UInt64(position))
        } catch {
          failures[copy] = error
          bytes += [UInt8](repeating: 0, count: SegmentHeader.pageSize)
        }
      }
      if failures.allSatisfy({ $0 != nil }) { throw error }
    }
  }

  /// Why there may be an intact copy though none was read.
  var failure: FileSystemError? { failures.lazy.compactMap(\.self).first }

  /// The file's bytes with one copy alone, the other's place full of zeros.
  func showing(_ copy: Int) -> [UInt8] {
    var alone = bytes
    let other = (1 - copy) * SegmentHeader.pageSize
    for place in other..<max(other, min(other + SegmentHeader.pageSize, alone.count)) { alone[place] = 0 }
    return alone
  }
}
