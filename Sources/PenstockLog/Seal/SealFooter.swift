// The footer, one skippable frame behind the last block of a sealed segment, little endian:
//     0  u32  0x184D2A52
//     4  u32  bytes of the frame after this field
//     8  u32  "PNF1"
//    12  u16  version, 1
//    14  u16  zero
//    16  u64  own position in the file
//    24  u64  segment sequence
//    32  u64  blocks
//    40  56 bytes for each block: u64 position · u64 base offset · u32 records · u32 bytes of the skippable frame in front ·
//        u32 bytes of the zstd frame · u32 flags (the block's) · i64 append time · i64 earliest, i64 latest event time
//     …  u32  CRC-32C of everything before, seeded with the CRC-32C of the segment's salt
//
// Behind it zstd's seek table (facebook/zstd, contrib/seekable_format/zstd_seekable_compression_format.md), one skippable frame:
//     0  u32  0x184D2A5E
//     4  u32  bytes of the frame after this field
//     8  8 bytes for each frame before it: u32 compressed size · u32 uncompressed size, 0 for a skippable frame
//     …  u32  frames · u8 zero · u32 0x8F92EAB1

/// The index of a sealed segment's blocks, as it stands behind them.
package enum SealFooter {
  package static let skippableMagic: UInt32 = 0x184D_2A52
  package static let magic: UInt32 = 0x3146_4E50  // "PNF1"
  package static let version: UInt16 = 1
  static let frontSize = 40
  static let entrySize = 56

  /// The footer and the seek table behind blocks that end at `position`.
  package static func encoded(_ blocks: [BlockHeader], at position: UInt64, _ header: SegmentHeader) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: skippableMagic)
    bytes.append(littleEndian: UInt32(frontSize + blocks.count * entrySize + 4 - 8))
    bytes.append(littleEndian: magic)
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: UInt16(0))
    bytes.append(littleEndian: position)
    bytes.append(littleEndian: header.sequence)
    bytes.append(littleEndian: UInt64(blocks.count))
    for block in blocks {
      bytes.append(littleEndian: block.position)
      bytes.append(littleEndian: block.baseOffset.rawValue)
      bytes.append(littleEndian: UInt32(block.recordCount))
      bytes.append(littleEndian: UInt32(block.frontLength))
      bytes.append(littleEndian: UInt32(block.storedLength))
      bytes.append(littleEndian: UInt32(block.flags))
      bytes.append(littleEndian: block.appendTime.nanoseconds)
      bytes.append(littleEndian: block.eventTimes?.lowerBound ?? 1)
      bytes.append(littleEndian: block.eventTimes?.upperBound ?? 0)
    }
    bytes.append(littleEndian: Checksum.of(bytes, seed: header.seed))
    return bytes + seekTable(blocks, footerLength: bytes.count)
  }

  /// Lets tools that know zstd's seekable format decompress from the middle.
  private static func seekTable(_ blocks: [BlockHeader], footerLength: Int) -> [UInt8] {
    var frames = [(SegmentHeader.pageSize, 0), (SegmentHeader.pageSize, 0)]
    for block in blocks { frames += [(block.frontLength, 0), (block.storedLength, block.rawLength)] }
    frames.append((footerLength, 0))
    var bytes: [UInt8] = []
    bytes.append(littleEndian: UInt32(0x184D_2A5E))
    bytes.append(littleEndian: UInt32(frames.count * 8 + 9))
    for (compressed, uncompressed) in frames {
      bytes.append(littleEndian: UInt32(compressed))
      bytes.append(littleEndian: UInt32(uncompressed))
    }
    bytes.append(littleEndian: UInt32(frames.count))
    bytes.append(0)
    bytes.append(littleEndian: UInt32(0x8F92_EAB1))
    return bytes
  }

  /// The index, when the footer is whole and its blocks lie gapless between header and footer; nil sends the caller to the
  /// blocks themselves. O(blocks), one read.
  package static func read(
    _ fileSystem: any FileSystem, _ file: FileHandle, _ header: SegmentHeader
  ) throws(FileSystemError) -> [BlockEntry]? {
    guard let seal = header.seal, seal.footerPosition < seal.fileLength else { return nil }
    // A length is only believed as far as the file reaches.
    let end = min(seal.fileLength, try fileSystem.size(file))
    guard seal.footerPosition < end else { return nil }
    let bytes = try fileSystem.readAll(file, count: Int(end - seal.footerPosition), at: seal.footerPosition)
    return bytes.withUnsafeBytes { decode($0, header, seal) }
  }

  private static func decode(
    _ bytes: UnsafeRawBufferPointer, _ header: SegmentHeader, _ seal: SegmentSeal
  ) -> [BlockEntry]? {
    guard bytes.count >= frontSize + 4, bytes.get(UInt32.self, at: 0) == skippableMagic else { return nil }
    let length = Int(bytes.get(UInt32.self, at: 4)) + 8
    guard length >= frontSize + 4, length <= bytes.count,
      Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<(length - 4)]), seed: header.seed)
        == bytes.get(UInt32.self, at: length - 4),
      bytes.get(UInt32.self, at: 8) == magic, bytes.get(UInt16.self, at: 12) == version,
      bytes.get(UInt64.self, at: 16) == seal.footerPosition, bytes.get(UInt64.self, at: 24) == header.sequence,
      (length - frontSize - 4) % entrySize == 0,
      bytes.get(UInt64.self, at: 32) == UInt64((length - frontSize - 4) / entrySize)
    else { return nil }
    var entries: [BlockEntry] = []
    var position = UInt64(SegmentHeader.size)
    var offset = header.baseOffset
    for start in stride(from: frontSize, to: length - 4, by: entrySize) {
      let entry = entry(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + entrySize)]))
      guard entry.position == position, entry.baseOffset == offset, entry.count > 0 else { return nil }
      entries.append(entry)
      position = entry.endPosition
      offset = entry.endOffset
    }
    return position == seal.footerPosition && offset == seal.endOffset ? entries : nil
  }

  private static func entry(_ bytes: UnsafeRawBufferPointer) -> BlockEntry {
    var block = BlockHeader()
    block.position = bytes.get(UInt64.self, at: 0)
    block.baseOffset = Offset(bytes.get(UInt64.self, at: 8))
    block.recordCount = Int(bytes.get(UInt32.self, at: 16))
    block.paddingLength = Int(bytes.get(UInt32.self, at: 20)) - BlockFormat.headerSize
    block.storedLength = Int(bytes.get(UInt32.self, at: 24))
    block.flags = UInt16(truncatingIfNeeded: bytes.get(UInt32.self, at: 28))
    block.appendTime = Timestamp(nanoseconds: bytes.get(Int64.self, at: 32))
    let (earliest, latest) = (bytes.get(Int64.self, at: 40), bytes.get(Int64.self, at: 48))
    block.eventTimes = earliest <= latest ? earliest...latest : nil
    return BlockEntry(block)
  }
}
