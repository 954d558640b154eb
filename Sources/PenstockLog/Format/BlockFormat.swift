// A block, the unit of compression, checksum, atomicity and commit:
//
//   position, a multiple of 4096                                                          a multiple of 4096
//   ┌───────────────────── skippable frame ─────────────────────┬───────── zstd frame ─────────┐
//   │ header (112) │ trailer (trailerLength) │ zeros (padding)   │ the records, compressed       │
//   └────────────────────────────────────────────────────────────┴───────────────────────────────┘
//
// Header, little endian:
//     0  u32  0x184D2A50, zstd's magic for a frame to be skipped
//     4  u32  bytes of the skippable frame after this field: 104 + trailer + padding
//     8  u32  "PNB1"
//    12  u16  format version, 1
//    14  u16  flags: bit 0 = the trailer holds the record lengths (some record contains a line feed)
//             bit 1 = the trailer holds append times (sealed: the records were appended at several times)
//             bit 2 = every append gave the event times of its records: a record without one has none
//    16  u64  own position in the file
//    24  u64  base offset: the first record's
//    32  u32  records, at least 1
//    36  u32  trailer bytes
//    40  u32  stored bytes: the zstd frame
//    44  u32  raw bytes: the payload, uncompressed
//    48  u64  segment sequence
//    56  u32  writer epoch
//    60  u32  checksum of the stored bytes
//    64  u64  durableUpTo: every byte of this file below it was on stable storage when this block was built
//    72  i64  append time of the first record, nanoseconds since 1970; never less than the block's before
//    80  i64  earliest event time   } minimum > maximum when no event time is known
//    88  i64  latest event time     }
//    96  u64  chain: a digest of the header of the block before (of the segment header, for the first)
//   104  u32  checksum of trailer and padding
//   108  u32  checksum of bytes 0 ..< 108
//
// The payload is the records, each followed by one line feed. Where no record contains one, readers find the ends by
// searching; otherwise the trailer holds the lengths.
//
// Trailer: sections of  u16 kind, u16 zero, u32 length, bytes.  Kind 1: a u32 length for each record. Kind 2: producers
// (`ProducerTrailer`). Kind 3: append times (`AppendTimes`). Kind 4: the CRC-32C of the payload, a u32 without a seed;
// not where a record contains a line feed. Unknown kinds are skipped.
//
// In a sealed segment blocks follow each other directly: no padding, any position, durableUpTo is 0.
//
// All checksums are CRC-32C seeded with the CRC-32C of the segment's salt. The header's checksum covers every length,
// and is validated before any length is used. An all-zero header is the absence of a block; no checksum value means
// anything by itself.

package enum BlockFormat {
  static let skippableMagic: UInt32 = 0x184D_2A50
  static let magic: UInt32 = 0x3142_4E50  // "PNB1"
  static let version: UInt16 = 1
  package static let headerSize = 112
  /// The length field does not count the first 8 bytes.
  static let framePrefix = 8
  package static let alignment = 4096
  static let lengthsFlag: UInt16 = 1
  static let appendTimesFlag: UInt16 = 2
  static let eventTimesKnownFlag: UInt16 = 4
  static let lengthsSection: UInt16 = 1
  static let appendTimesSection: UInt16 = 3
  static let contentChecksumSection: UInt16 = 4

  package static func alignedUp(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }
  static func alignedUp(_ position: UInt64) -> UInt64 { (position + 4095) & ~4095 }
}

/// The header at the start of a block.
package struct BlockHeader: Hashable, Sendable {
  package var flags: UInt16 = 0
  package var position: UInt64 = 0
  package var baseOffset = Offset.zero
  package var recordCount = 0
  package var trailerLength = 0
  package var paddingLength = 0
  package var storedLength = 0
  package var rawLength = 0
  package var segment: UInt64 = 0
  package var epoch: UInt32 = 0
  package var payloadChecksum: UInt32 = 0
  package var durableUpTo: UInt64 = 0
  package var appendTime = Timestamp(nanoseconds: 0)
  package var eventTimes: ClosedRange<Int64>?
  package var chain: UInt64 = 0
  package var trailerChecksum: UInt32 = 0

  init() {}

  package var frontLength: Int { BlockFormat.headerSize + trailerLength + paddingLength }
  package var totalLength: Int { frontLength + storedLength }
  var endPosition: UInt64 { position + UInt64(totalLength) }
  package var endOffset: Offset { baseOffset + recordCount }

  /// Writes the 112 bytes, checksum included.
  package func encode(into buffer: UnsafeMutableRawBufferPointer, seed: UInt32) {
    buffer.put(BlockFormat.skippableMagic, at: 0)
    buffer.put(UInt32(frontLength - BlockFormat.framePrefix), at: 4)
    buffer.put(BlockFormat.magic, at: 8)
    buffer.put(BlockFormat.version, at: 12)
    buffer.put(flags, at: 14)
    buffer.put(position, at: 16)
    buffer.put(baseOffset.rawValue, at: 24)
    buffer.put(UInt32(recordCount), at: 32)
    buffer.put(UInt32(trailerLength), at: 36)
    buffer.put(UInt32(storedLength), at: 40)
    buffer.put(UInt32(rawLength), at: 44)
    buffer.put(segment, at: 48)
    buffer.put(epoch, at: 56)
    buffer.put(payloadChecksum, at: 60)
    buffer.put(durableUpTo, at: 64)
    buffer.put(appendTime.nanoseconds, at: 72)
    buffer.put(eventTimes?.lowerBound ?? 1, at: 80)
    buffer.put(eventTimes?.upperBound ?? 0, at: 88)
    buffer.put(chain, at: 96)
    buffer.put(trailerChecksum, at: 104)
    buffer.put(Checksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<108]), seed: seed), at: 108)
  }

  /// The ways in which 112 bytes can fail to be a header.
  package enum Flaw: Error, Hashable, Sendable {
    /// All zero: no block was ever written here.
    case absent
    /// Not this format, or changed bytes.
    case invalid(String)
    /// Intact, but of an unknown version.
    case futureVersion(UInt16)
  }

  /// Reads a header. It validates the checksum before it uses any field. The caller must check that the block belongs
  /// *here* (position, segment, chain, offset).
  package init(decoding bytes: UnsafeRawBufferPointer, seed: UInt32) throws(Flaw) {
    precondition(bytes.count >= BlockFormat.headerSize)
    let header = UnsafeRawBufferPointer(rebasing: bytes[..<BlockFormat.headerSize])
    if Bytes.nonzeroEnd(of: header) == 0 { throw .absent }
    guard header.get(UInt32.self, at: 0) == BlockFormat.skippableMagic,
      header.get(UInt32.self, at: 8) == BlockFormat.magic
    else { throw .invalid("no block magic") }
    guard Checksum.of(UnsafeRawBufferPointer(rebasing: header[..<108]), seed: seed) == header.get(UInt32.self, at: 108)
    else { throw .invalid("header checksum") }
    let version = header.get(UInt16.self, at: 12)
    guard version == BlockFormat.version else { throw .futureVersion(version) }

    flags = header.get(UInt16.self, at: 14)
    position = header.get(UInt64.self, at: 16)
    baseOffset = Offset(header.get(UInt64.self, at: 24))
    recordCount = Int(header.get(UInt32.self, at: 32))
    trailerLength = Int(header.get(UInt32.self, at: 36))
    storedLength = Int(header.get(UInt32.self, at: 40))
    rawLength = Int(header.get(UInt32.self, at: 44))
    segment = header.get(UInt64.self, at: 48)
    epoch = header.get(UInt32.self, at: 56)
    payloadChecksum = header.get(UInt32.self, at: 60)
    durableUpTo = header.get(UInt64.self, at: 64)
    appendTime = Timestamp(nanoseconds: header.get(Int64.self, at: 72))
    let (earliest, latest) = (header.get(Int64.self, at: 80), header.get(Int64.self, at: 88))
    eventTimes = earliest <= latest ? earliest...latest : nil
    chain = header.get(UInt64.self, at: 96)
    trailerChecksum = header.get(UInt32.self, at: 104)

    let frame = Int(header.get(UInt32.self, at: 4))
    paddingLength = frame + BlockFormat.framePrefix - BlockFormat.headerSize - trailerLength
    guard paddingLength >= 0, recordCount > 0, storedLength > 0, rawLength >= recordCount else {
      throw .invalid("lengths that do not fit together")
    }
    // Even an intact block must not pass the largest position, nor hold a record past the largest offset.
    guard baseOffset.rawValue <= .max - UInt64(recordCount), position <= .max - UInt64(totalLength) else {
      throw .invalid("a position or an offset past the largest one")
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  func put(_ value: some FixedWidthInteger, at position: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: position, as: type(of: value))
  }
}

extension UnsafeRawBufferPointer {
  func get<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at position: Int) -> Value {
    Value(littleEndian: loadUnaligned(fromByteOffset: position, as: type))
  }
}
