// A segment is a file of zstd frames:
//
//   0          4096       8192
//   ┌──────────┬──────────┬─────────┬─────────┬───┬──────────────────┐
//   │ header 0 │ header 1 │ block   │ block   │ … │ zeros, if active │
//   └──────────┴──────────┴─────────┴─────────┴───┴──────────────────┘
//
// Both headers are equal; each is one skippable frame that fills its page. Little endian:
//     0  u32  0x184D2A51, zstd's magic for a frame to be skipped
//     4  u32  4088
//     8  u32  "PNS1"
//    12  u16  format version, 1
//    14  u16  which copy: 0 or 1
//    16  u64  incompatible features: an unknown bit → refuse to read
//    24  u64  read-only features: an unknown bit → refuse to write. Bit 0: the log had producers at the beginning
//    32  u64  compatible features: unknown bits are ignored. Bit 0: the latest event time before is known
//    40  16B  log UUID
//    56  u64  sequence: 1, 2, 3, …
//    64  u32  writer epoch
//    68  u32  zero
//    72  u64  base offset
//    80  16B  salt, random
//    96  u64  chain: a digest of the last block header of the segment before; 0 in the first
//   104  i64  append time at which the segment was begun
//   112  …    zeros; in a sealed segment the fields of `SegmentSeal`
//   176  i64  latest event time of all records before this segment, since the log began; minimum where there was none
//  4092  u32  CRC-32C of bytes 0 ..< 4092, not seeded: every version keeps it there
//
// A file's name is its sequence and its base offset in decimal: 0000000001-00000000000000000000.seg. Name and header
// agree.

package struct SegmentHeader: Hashable, Sendable {
  package static let pageSize = 4096
  /// The position of the first block.
  package static let size = 2 * pageSize
  static let skippableMagic: UInt32 = 0x184D_2A51
  static let magic: UInt32 = 0x3153_4E50  // "PNS1"
  package static let version: UInt16 = 1
  /// Incompatible feature bit 0: the segment is sealed.
  static let sealedFeature: UInt64 = 1
  static let knownIncompatible = sealedFeature
  /// A producer had appended before the segment was begun. A writer that does not know producers must not append.
  static let producersFeature: UInt64 = 1
  /// The header holds `latestEventTime`.
  static let eventTimesFeature: UInt64 = 1
  static let knownReadOnly = producersFeature

  package var incompatibleFeatures: UInt64 = 0
  package var readOnlyFeatures: UInt64 = 0
  package var compatibleFeatures: UInt64 = 0
  package var logID: [UInt8]
  package var sequence: UInt64
  package var epoch: UInt32
  package var baseOffset: Offset
  package var salt: [UInt8]
  package var previousChain: UInt64
  package var begunAt: Timestamp
  /// The latest event time in all earlier segments, including those that retention has dropped. It never falls from one
  /// segment to the next, so a binary search works. `Int64.min` when no record had one; nil where it is unknown.
  var latestEventTime: Int64? {
    didSet {
      compatibleFeatures &= ~Self.eventTimesFeature
      if latestEventTime != nil { compatibleFeatures |= Self.eventTimesFeature }
    }
  }
  /// The fields that sealing adds; nil in an unsealed segment.
  package private(set) var seal: SegmentSeal?

  init(
    readOnlyFeatures: UInt64 = 0, logID: [UInt8], sequence: UInt64, epoch: UInt32, baseOffset: Offset, salt: [UInt8],
    previousChain: UInt64, begunAt: Timestamp
  ) {
    precondition(logID.count == 16 && salt.count == 16)
    self.readOnlyFeatures = readOnlyFeatures
    self.logID = logID
    self.sequence = sequence
    self.epoch = epoch
    self.baseOffset = baseOffset
    self.salt = salt
    self.previousChain = previousChain
    self.begunAt = begunAt
  }

  /// The seed of every checksum of the segment.
  package var seed: UInt32 { Checksum.of(salt) }

  var name: SegmentName { SegmentName(sequence: sequence, baseOffset: baseOffset) }
  package var isSealed: Bool { seal != nil }

  /// The same segment, sealed, under a new salt: its bytes and the original's never validate for each other.
  func sealed(_ seal: SegmentSeal, salt: [UInt8]) -> SegmentHeader {
    precondition(salt.count == 16)
    var header = self
    header.incompatibleFeatures |= Self.sealedFeature
    header.salt = salt
    header.seal = seal
    return header
  }

  /// The chain value that the first block must have. It excludes the seal, which is known only when all blocks are
  /// written.
  var chain: UInt64 {
    var header = self
    header.seal = nil
    return header.encoded().withUnsafeBytes { Chain.link(UnsafeRawBufferPointer(rebasing: $0[..<Self.pageSize])) }
  }

  /// Both copies: 8,192 bytes.
  package func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    bytes.withUnsafeMutableBytes { bytes in
      for copy in 0..<2 {
        encode(
          copy: UInt16(copy),
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[(copy * Self.pageSize)..<((copy + 1) * Self.pageSize)]))
      }
    }
    return bytes
  }

  private func encode(copy: UInt16, into page: UnsafeMutableRawBufferPointer) {
    page.put(Self.skippableMagic, at: 0)
    page.put(UInt32(Self.pageSize - 8), at: 4)
    page.put(Self.magic, at: 8)
    page.put(Self.version, at: 12)
    page.put(copy, at: 14)
    page.put(incompatibleFeatures, at: 16)
    page.put(readOnlyFeatures, at: 24)
    page.put(compatibleFeatures, at: 32)
    page[40..<56].copyBytes(from: logID)
    page.put(sequence, at: 56)
    page.put(epoch, at: 64)
    page.put(baseOffset.rawValue, at: 72)
    page[80..<96].copyBytes(from: salt)
    page.put(previousChain, at: 96)
    page.put(begunAt.nanoseconds, at: 104)
    seal?.encode(into: page)
    if let latestEventTime { page.put(latestEventTime, at: 176) }
    page.put(Checksum.of(UnsafeRawBufferPointer(rebasing: page[..<4092])), at: 4092)
  }

  enum Flaw: Error, Hashable, Sendable {
    case invalid
    /// Intact, but of an unknown version or with an unknown feature.
    case future(String)
  }

  /// Reads the first valid copy of the two.
  init(decoding bytes: UnsafeRawBufferPointer) throws(Flaw) {
    for copy in 0..<2 where bytes.count >= (copy + 1) * Self.pageSize {
      let page = UnsafeRawBufferPointer(rebasing: bytes[(copy * Self.pageSize)..<((copy + 1) * Self.pageSize)])
      if let header = try Self.page(page, copy: copy) {
        self = header
        return
      }
    }
    throw .invalid
  }

  private static func page(_ page: UnsafeRawBufferPointer, copy: Int) throws(Flaw) -> SegmentHeader? {
    guard page.get(UInt32.self, at: 0) == skippableMagic, page.get(UInt32.self, at: 8) == magic,
      Checksum.of(UnsafeRawBufferPointer(rebasing: page[..<4092])) == page.get(UInt32.self, at: 4092)
    else { return nil }
    let version = page.get(UInt16.self, at: 12)
    guard version == Self.version else { throw .future("format version \(version)") }
    guard page.get(UInt16.self, at: 14) == UInt16(copy) else { return nil }
    var header = SegmentHeader(
      logID: Array(page[40..<56]), sequence: page.get(UInt64.self, at: 56), epoch: page.get(UInt32.self, at: 64),
      baseOffset: Offset(page.get(UInt64.self, at: 72)), salt: Array(page[80..<96]),
      previousChain: page.get(UInt64.self, at: 96), begunAt: Timestamp(nanoseconds: page.get(Int64.self, at: 104)))
    header.incompatibleFeatures = page.get(UInt64.self, at: 16)
    header.readOnlyFeatures = page.get(UInt64.self, at: 24)
    header.compatibleFeatures = page.get(UInt64.self, at: 32)
    if header.compatibleFeatures & eventTimesFeature != 0 { header.latestEventTime = page.get(Int64.self, at: 176) }
    let unknown = header.incompatibleFeatures & ~knownIncompatible
    guard unknown == 0 else { throw .future("incompatible feature bits 0x\(String(unknown, radix: 16))") }
    if header.incompatibleFeatures & sealedFeature != 0 { header.seal = SegmentSeal(decoding: page) }
    return header
  }

  /// Whether this code may append to a segment with these features.
  var isWritable: Bool { readOnlyFeatures & ~Self.knownReadOnly == 0 && !isSealed }
}

/// A segment's file name.
package struct SegmentName: Hashable, Comparable, Sendable {
  package let sequence: UInt64
  package let baseOffset: Offset

  package init(sequence: UInt64, baseOffset: Offset) {
    self.sequence = sequence
    self.baseOffset = baseOffset
  }

  /// Nil when `text` is not a segment's name.
  init?(_ text: String) {
    guard text.hasSuffix(".seg") else { return nil }
    let parts = text.dropLast(4).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].count == 10, parts[1].count == 20, let sequence = UInt64(parts[0]),
      let base = UInt64(parts[1])
    else { return nil }
    self.init(sequence: sequence, baseOffset: Offset(base))
    // `UInt64` accepts a sign; names have none.
    guard self.text == text else { return nil }
  }

  package var text: String { "\(Self.padded(sequence, to: 10))-\(Self.padded(baseOffset.rawValue, to: 20)).seg" }

  static func padded(_ value: UInt64, to width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  package static func < (a: SegmentName, b: SegmentName) -> Bool { a.sequence < b.sequence }
}
