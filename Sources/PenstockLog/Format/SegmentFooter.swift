// The footer, one skippable frame after the last block of a finished segment, sealed or not, little endian:
//     0  u32  0x184D2A52
//     4  u32  bytes of the frame after this field
//     8  u32  "PNF1"
//    12  u16  version, 1
//    14  u16  zero
//    16  u64  own position in the file
//    24  u64  segment sequence
//    32  u64  blocks
//    40  56 bytes for each block: u64 position · u64 base offset · u32 records · u32 bytes of its skippable frame ·
//        u32 bytes of the zstd frame · u32 flags (the block's) · i64 append time · i64 earliest, i64 latest event time
//     …  u32  CRC-32C of everything before, seeded with the CRC-32C of the segment's salt
//
// After it zstd's seek table (facebook/zstd, contrib/seekable_format/zstd_seekable_compression_format.md), one
// skippable frame:
//     0  u32  0x184D2A5E
//     4  u32  bytes of the frame after this field
//     8  8 bytes for each frame before it: u32 compressed size · u32 uncompressed size, 0 for a skippable frame
//     …  u32  frames · u8 zero · u32 0x8F92EAB1
//
// A sealed segment's header holds the position of its footer. In any other segment the file's end gives it: the seek
// table's last 9 bytes hold the number of blocks, and that gives both lengths.

/// The index of a segment's blocks, stored after them. It is never needed, because the blocks hold the same facts, and
/// it is never a proof. A reader validates each block against the block's own header.
package enum SegmentFooter {
  static let skippableMagic: UInt32 = 0x184D_2A52
  static let magic: UInt32 = 0x3146_4E50  // "PNF1"
  static let version: UInt16 = 1
  static let frontSize = 40
  static let entrySize = 56
  static let seekTableMagic: UInt32 = 0x184D_2A5E
  static let seekableMagic: UInt32 = 0x8F92_EAB1
  /// The length of a seek table's end.
  static let endSize = 9

  /// The index that was found after a segment's blocks.
  struct Index: Hashable, Sendable {
    var blocks: [BlockEntry]
    /// The end of the blocks, and the beginning of the footer.
    var position: UInt64
  }

  static func footerLength(blocks: Int) -> Int { frontSize + blocks * entrySize + 4 }
  /// Two pages of header, two frames for each block, and the footer.
  static func frames(blocks: Int) -> Int { 2 * blocks + 3 }
  static func seekTableLength(blocks: Int) -> Int { 8 + frames(blocks: blocks) * 8 + endSize }

  /// The footer and the seek table for blocks that end at `position`.
  package static func encoded(_ blocks: [BlockEntry], at position: UInt64, _ header: SegmentHeader) -> [UInt8] {
    let length = footerLength(blocks: blocks.count)
    var bytes = [UInt8](repeating: 0, count: length + seekTableLength(blocks: blocks.count))
    bytes.withUnsafeMutableBytes { bytes in
      bytes.put(skippableMagic, at: 0)
      bytes.put(UInt32(length - 8), at: 4)
      bytes.put(magic, at: 8)
      bytes.put(version, at: 12)
      bytes.put(position, at: 16)
      bytes.put(header.sequence, at: 24)
      bytes.put(UInt64(blocks.count), at: 32)
      for (index, block) in blocks.enumerated() { put(block, into: bytes, at: frontSize + index * entrySize) }
      bytes.put(
        Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<(length - 4)]), seed: header.seed), at: length - 4)
      putSeekTable(blocks, into: UnsafeMutableRawBufferPointer(rebasing: bytes[length...]), footerLength: length)
    }
    return bytes
  }

  private static func put(_ block: BlockEntry, into bytes: UnsafeMutableRawBufferPointer, at start: Int) {
    bytes.put(block.position, at: start)
    bytes.put(block.baseOffset.rawValue, at: start + 8)
    bytes.put(UInt32(block.count), at: start + 16)
    bytes.put(UInt32(block.frontLength), at: start + 20)
    bytes.put(UInt32(block.storedLength), at: start + 24)
    bytes.put(UInt32(block.flags), at: start + 28)
    bytes.put(block.appendTime.nanoseconds, at: start + 32)
    bytes.put(block.eventTimes?.lowerBound ?? 1, at: start + 40)
    bytes.put(block.eventTimes?.upperBound ?? 0, at: start + 48)
  }

  /// Lets tools that know zstd's seekable format decompress from the middle.
  private static func putSeekTable(
    _ blocks: [BlockEntry], into bytes: UnsafeMutableRawBufferPointer, footerLength: Int
  ) {
    bytes.put(seekTableMagic, at: 0)
    bytes.put(UInt32(bytes.count - 8), at: 4)
    var place = 8
    func put(_ compressed: Int, _ uncompressed: Int) {
      bytes.put(UInt32(compressed), at: place)
      bytes.put(UInt32(uncompressed), at: place + 4)
      place += 8
    }
    put(SegmentHeader.pageSize, 0)
    put(SegmentHeader.pageSize, 0)
    for block in blocks {
      put(block.frontLength, 0)
      put(block.storedLength, block.rawLength)
    }
    put(footerLength, 0)
    bytes.put(UInt32(frames(blocks: blocks.count)), at: place)
    bytes.put(seekableMagic, at: place + 5)
  }
}

extension SegmentFooter {
  /// The length of footer and seek table together, from the last bytes of a file; nil without a seek table.
  static func length(fromEnd bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= endSize, bytes.get(UInt32.self, at: bytes.count - 4) == seekableMagic else { return nil }
    let frames = Int(bytes.get(UInt32.self, at: bytes.count - endSize))
    guard frames >= 3, frames % 2 == 1 else { return nil }
    let blocks = (frames - 3) / 2
    return footerLength(blocks: blocks) + seekTableLength(blocks: blocks)
  }

  /// `bytes` begin at `position`.
  static func decode(_ bytes: UnsafeRawBufferPointer, at footerPosition: UInt64, _ header: SegmentHeader) -> Index? {
    guard bytes.count >= frontSize + 4, bytes.get(UInt32.self, at: 0) == skippableMagic else { return nil }
    let length = Int(bytes.get(UInt32.self, at: 4)) + 8
    guard length >= frontSize + 4, length <= bytes.count,
      Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<(length - 4)]), seed: header.seed)
        == bytes.get(UInt32.self, at: length - 4),
      bytes.get(UInt32.self, at: 8) == magic, bytes.get(UInt16.self, at: 12) == version,
      bytes.get(UInt64.self, at: 16) == footerPosition, bytes.get(UInt64.self, at: 24) == header.sequence,
      (length - frontSize - 4) % entrySize == 0,
      bytes.get(UInt64.self, at: 32) == UInt64((length - frontSize - 4) / entrySize)
    else { return nil }
    let count = (length - frontSize - 4) / entrySize
    // The seek table has no checksum: its raw lengths are shown and never relied on.
    let hasSeekTable = bytes.count >= length + seekTableLength(blocks: count)
    var blocks: [BlockEntry] = []
    blocks.reserveCapacity(count)
    var position = UInt64(SegmentHeader.size)
    var offset = header.baseOffset
    for index in 0..<count {
      var entry = entry(bytes, at: frontSize + index * entrySize)
      guard entry.position == position, entry.baseOffset == offset, entry.count > 0,
        offset.rawValue <= .max - UInt64(entry.count)
      else { return nil }
      if hasSeekTable { entry.rawLength = Int(bytes.get(UInt32.self, at: length + 8 + (2 * index + 3) * 8 + 4)) }
      blocks.append(entry)
      position = entry.endPosition
      offset = entry.endOffset
    }
    return position == footerPosition ? Index(blocks: blocks, position: footerPosition) : nil
  }

  private static func entry(_ bytes: UnsafeRawBufferPointer, at start: Int) -> BlockEntry {
    let (earliest, latest) = (bytes.get(Int64.self, at: start + 40), bytes.get(Int64.self, at: start + 48))
    return BlockEntry(
      position: bytes.get(UInt64.self, at: start), baseOffset: Offset(bytes.get(UInt64.self, at: start + 8)),
      records: bytes.get(UInt32.self, at: start + 16), front: bytes.get(UInt32.self, at: start + 20),
      stored: bytes.get(UInt32.self, at: start + 24),
      flags: UInt16(truncatingIfNeeded: bytes.get(UInt32.self, at: start + 28)),
      appendTime: Timestamp(nanoseconds: bytes.get(Int64.self, at: start + 32)),
      eventTimes: earliest <= latest ? earliest...latest : nil)
  }
}

extension SegmentFooter {
  /// Whether `found` is what a crash may have left while `expected` was written over zeros: every byte is the expected
  /// one or zero, and only zeros follow. Zeros alone qualify.
  static func isRemainder(_ found: UnsafeRawBufferPointer, of expected: UnsafeRawBufferPointer) -> Bool {
    let common = min(found.count, expected.count)
    for index in 0..<common where found[index] != expected[index] && found[index] != 0 { return false }
    return Bytes.nonzeroEnd(of: UnsafeRawBufferPointer(rebasing: found[common...])) == 0
  }
}
