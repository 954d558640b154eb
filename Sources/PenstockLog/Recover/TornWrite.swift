/// Whether a power cut can have left these bytes in place of a block.
///
/// A segment is filled with zeros before a block is written, and a drive writes a sector of 512 bytes whole or not at
/// all. So a torn block has a sector that is still zeros. A block without such a sector was written whole and changed
/// later: a torn write does not explain it.
///
/// A sector also counts as torn when its first or last word of eight bytes is zeros, because some drives may stop
/// within a sector. One that has taken a part of a short write, and then stops within the rest, leaves zeros in the
/// middle. That counts as damage: content may have such zeros, and a flipped bit must not pass for a torn write.
enum TornWrite {
  static let sector = 512
  private static let word = 8

  /// - Parameters:
  ///   - header: The block's header, where it is intact.
  ///   - bytes: The block's bytes from the first on: as many as the file has, or a header's length where the header is
  ///     not intact.
  static func explains(
    _ header: BlockHeader?, _ bytes: UnsafeRawBufferPointer, seed: UInt32
  ) -> Bool {
    guard bytes.count >= BlockFormat.headerSize else { return true }
    guard let header else { return hasUnwrittenSector(bytes, in: 0..<BlockFormat.headerSize) }
    guard bytes.count >= header.totalLength else { return true }
    func isIntact(_ range: Range<Int>, _ checksum: UInt32) -> Bool {
      Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[range]), seed: seed) == checksum
    }
    // Only where the checksum fails: zeros elsewhere are content. The padding is always zeros and proves nothing.
    let front = BlockFormat.headerSize..<header.frontLength
    let trailer = BlockFormat.headerSize..<(BlockFormat.headerSize + header.trailerLength)
    let payload = header.frontLength..<header.totalLength
    return (!isIntact(front, header.trailerChecksum) && hasUnwrittenSector(bytes, in: trailer))
      || (!isIntact(payload, header.payloadChecksum) && hasUnwrittenSector(bytes, in: payload))
  }

  /// Whether some sector's part of `range` is zeros, or its first or last word, as far as it lies in the range.
  private static func hasUnwrittenSector(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>) -> Bool {
    var start = range.lowerBound
    while start < range.upperBound {
      let end = min((start / sector + 1) * sector, range.upperBound)
      let first = start..<min((start / word + 1) * word, end)
      let last = max((end - 1) / word * word, start)..<end
      if bytes[first].allSatisfy({ $0 == 0 }) || bytes[last].allSatisfy({ $0 == 0 }) { return true }
      start = end
    }
    return false
  }
}
