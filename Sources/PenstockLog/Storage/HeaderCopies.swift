/// The two copies of a segment's header. They lie in separate pages, so that one bad sector damages one of them. When
/// one read cannot return both, each page is read alone.
struct HeaderCopies {
  /// As many bytes as the file has, up to the header's size; zeros in place of an unreadable page.
  private(set) var bytes: [UInt8]
  /// Why a copy cannot be read; nil for a readable one.
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

  /// Why an intact copy may exist although none was read.
  var failure: FileSystemError? { failures.lazy.compactMap(\.self).first }

  /// The file's bytes with one copy alone; zeros in place of the other.
  func showing(_ copy: Int) -> [UInt8] {
    var alone = bytes
    let other = (1 - copy) * SegmentHeader.pageSize
    for place in other..<max(other, min(other + SegmentHeader.pageSize, alone.count)) { alone[place] = 0 }
    return alone
  }
}
