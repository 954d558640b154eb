extension SegmentFooter {
  /// The index, when the footer is whole and its blocks lie without a hole between header and footer. Nil: the caller
  /// must read the blocks themselves.
  ///
  /// O(blocks), one read of at most ``guess`` bytes and seldom a second; three where a sector of the blocks before the
  /// index is unreadable. Throws when the index itself is. Blocks the calling thread.
  static func read(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, _ header: SegmentHeader
  ) throws(FileSystemError) -> Index? {
    let size = try fileSystem.size(file)
    guard let seal = header.seal else { return try readFromEnd(fileSystem, file, header, size: size) }
    guard seal.footerPosition < seal.fileLength else { return nil }
    // A length is only trusted as far as the file reaches.
    let end = min(seal.fileLength, size)
    guard seal.footerPosition < end else { return nil }
    let bytes = try fileSystem.readAll(file, count: Int(end - seal.footerPosition), at: seal.footerPosition)
    guard let index = bytes.withUnsafeBytes({ decode($0, at: seal.footerPosition, header) }),
      index.blocks.last?.endOffset ?? header.baseOffset == seal.endOffset
    else { return nil }
    return index
  }

  /// The bytes read from a file's end before the footer's length is known: the index of 1,800 blocks. A segment of the
  /// default size has 500 when its records compress to an eighth, 1,500 when to a twentieth.
  static let guess = 128 << 10

  private static func readFromEnd(
    _ fileSystem: any FileSystem, _ file: OpenFileHandle, _ header: SegmentHeader, size: UInt64
  ) throws(FileSystemError) -> Index? {
    guard size > UInt64(SegmentHeader.size) else { return nil }
    let limit = size - UInt64(SegmentHeader.size)
    func end(_ count: Int) throws(FileSystemError) -> [UInt8] {
      let count = min(limit, UInt64(count))
      return try fileSystem.readAll(file, count: Int(count), at: size - count)
    }
    var bytes: [UInt8]
    do throws(FileSystemError) { bytes = try end(guess) } catch {
      // A block's sector may be the cause: the last bytes give the position of the index.
      bytes = try end(endSize)
    }
    guard let length = bytes.withUnsafeBytes({ length(fromEnd: $0) }), UInt64(length) <= limit else { return nil }
    let position = size - UInt64(length)
    if length > bytes.count {
      bytes = try fileSystem.readAll(file, count: length, at: position)
      guard bytes.count == length else { return nil }
    }
    return bytes.withUnsafeBytes {
      decode(UnsafeRawBufferPointer(rebasing: $0[($0.count - length)...]), at: position, header)
    }
  }
}

extension SegmentScanner {
  /// Whether only zeros follow these blocks, apart from their index, whole or as far as a crash let it be written. The
  /// blocks fill the segment from its beginning without a hole. True proves that there was never another record.
  /// O(bytes after them).
  func hasOnlyIndex(after blocks: [BlockEntry]) throws(FileSystemError) -> Bool {
    let position = blocks.last?.endPosition ?? UInt64(SegmentHeader.size)
    let expected = SegmentFooter.encoded(blocks, at: position, header)
    let found = try fileSystem.readAll(file, count: expected.count, at: position)
    let isRemainder = found.withUnsafeBytes { found in
      expected.withUnsafeBytes { SegmentFooter.isRemainder(found, of: $0) }
    }
    guard isRemainder else { return false }
    let end = position + UInt64(expected.count)
    return try nonzeroEnd(from: end) == end
  }
}
