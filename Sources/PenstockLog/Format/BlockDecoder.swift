/// Why a block's bytes are invalid.
struct BlockFlaw: Error, Hashable, Sendable, CustomStringConvertible {
  let reason: String
  init(_ reason: String) { self.reason = reason }
  var description: String { reason }
}

/// Turns a block's bytes back into records. Pure.
enum BlockDecoder {
  /// Validates everything that checksums cover, without decompressing: trailer, padding and stored bytes.
  /// `bytes` begins at the header and is `header.totalLength` long.
  static func verify(_ header: BlockHeader, _ bytes: UnsafeRawBufferPointer, seed: UInt32) throws(BlockFlaw) {
    precondition(bytes.count == header.totalLength)
    let trailer = UnsafeRawBufferPointer(rebasing: bytes[BlockFormat.headerSize..<header.frontLength])
    guard Checksum.of(trailer, seed: seed) == header.trailerChecksum else { throw BlockFlaw("trailer checksum") }
    let stored = UnsafeRawBufferPointer(rebasing: bytes[header.frontLength...])
    guard Checksum.of(stored, seed: seed) == header.payloadChecksum else { throw BlockFlaw("payload checksum") }
  }

  /// The records. The decompressor only reads bytes that ``verify(_:_:seed:)`` has validated.
  static func decode(
    _ header: BlockHeader, _ bytes: UnsafeRawBufferPointer, seed: UInt32, with reader: BlockReader
  ) throws(BlockFlaw) -> DecodedBlock {
    try verify(header, bytes, seed: seed)
    let stored = UnsafeRawBufferPointer(rebasing: bytes[header.frontLength...])
    let memory = reader.memory.take(header.rawLength)
    do throws(LogError) {
      try reader.decompressor.decompress(stored, into: memory.mutableBytes(header.rawLength))
    } catch {
      throw BlockFlaw(error.message)
    }
    let payload = BlockPayload(memory, count: header.rawLength)
    let ends = try payload.withUnsafeBytes { (payload) throws(BlockFlaw) in try recordEnds(header, bytes, payload) }
    let keepsFrame = reader.retainsCompressedFrames && header.flags & BlockFormat.lengthsFlag == 0
    return DecodedBlock(
      baseOffset: header.baseOffset, appendTimes: try appendTimes(header, bytes), payload: payload, ends: ends,
      frame: keepsFrame ? Array(stored) : nil, contentChecksum: keepsFrame ? contentChecksum(header, bytes) : nil)
  }

  /// The block unopened: checked by its checksums, but not decompressed. Nil where its frame cannot stand for its
  /// records: where lines are not records, where the trailer has no checksum of the payload, and where it is too small
  /// to be copied.
  static func unopened(
    _ header: BlockHeader, _ bytes: UnsafeRawBufferPointer, seed: UInt32, unpackedBy readers: BlockReaders
  ) throws(BlockFlaw) -> PackedBlock? {
    guard header.flags & BlockFormat.lengthsFlag == 0, header.rawLength >= PackedBlock.leastUnopened else { return nil }
    try verify(header, bytes, seed: seed)
    guard let checksum = contentChecksum(header, bytes) else { return nil }
    let stored = UnsafeRawBufferPointer(rebasing: bytes[header.frontLength...])
    return PackedBlock(
      header, try appendTimes(header, bytes), frame: Array(stored), contentChecksum: checksum, unpackedBy: readers)
  }

  /// What a validated trailer says of the payload.
  static func contentChecksum(_ header: BlockHeader, _ bytes: UnsafeRawBufferPointer) -> UInt32? {
    let trailer = UnsafeRawBufferPointer(
      rebasing: bytes[BlockFormat.headerSize..<(BlockFormat.headerSize + header.trailerLength)])
    guard let found = section(BlockFormat.contentChecksumSection, in: trailer), found.count == 4 else { return nil }
    return found.get(UInt32.self, at: 0)
  }

  private static func recordEnds(
    _ header: BlockHeader, _ bytes: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
  ) throws(BlockFlaw) -> [UInt32] {
    guard payload.last == UInt8(ascii: "\n") else { throw BlockFlaw("the payload does not end with a line feed") }
    guard header.flags & BlockFormat.lengthsFlag != 0 else {
      let ends = Bytes.lineFeeds(in: payload, expecting: header.recordCount)
      guard ends.count == header.recordCount else {
        throw BlockFlaw("\(ends.count) lines in a block of \(header.recordCount) records")
      }
      return ends
    }
    let trailer = UnsafeRawBufferPointer(
      rebasing: bytes[BlockFormat.headerSize..<(BlockFormat.headerSize + header.trailerLength)])
    guard let lengths = section(BlockFormat.lengthsSection, in: trailer), lengths.count == header.recordCount * 4 else {
      throw BlockFlaw("no record lengths in the trailer")
    }
    var ends: [UInt32] = []
    ends.reserveCapacity(header.recordCount)
    var position = 0
    for index in 0..<header.recordCount {
      let end = position + Int(lengths.get(UInt32.self, at: index * 4))
      guard end < payload.count else { throw BlockFlaw("record lengths pass the payload's end") }
      ends.append(UInt32(end))
      position = end + 1
    }
    guard position == payload.count else { throw BlockFlaw("record lengths do not add up to the payload") }
    return ends
  }

  private static func appendTimes(
    _ header: BlockHeader, _ bytes: UnsafeRawBufferPointer
  ) throws(BlockFlaw) -> AppendTimes {
    guard header.flags & BlockFormat.appendTimesFlag != 0 else { return AppendTimes(header.appendTime) }
    let trailer = UnsafeRawBufferPointer(
      rebasing: bytes[BlockFormat.headerSize..<(BlockFormat.headerSize + header.trailerLength)])
    guard let found = section(BlockFormat.appendTimesSection, in: trailer) else {
      throw BlockFlaw("no append times in the trailer")
    }
    return try AppendTimes(header.appendTime, decoding: Array(found), count: header.recordCount)
  }

  static func section(_ kind: UInt16, in trailer: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    var position = 0
    while position + 8 <= trailer.count {
      let length = Int(trailer.get(UInt32.self, at: position + 4))
      guard position + 8 + length <= trailer.count else { return nil }
      if trailer.get(UInt16.self, at: position) == kind {
        return UnsafeRawBufferPointer(rebasing: trailer[(position + 8)..<(position + 8 + length)])
      }
      position += 8 + length
    }
    return nil
  }
}
