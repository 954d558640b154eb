/// What a log must know before it reads a segment; kept in a ``SlotFile`` named META.
package struct LogMeta: Hashable, Sendable {
  package static let slotKind: UInt16 = 1
  package static let slotSize = 4096
  private static let version: UInt16 = 2

  package var logID: [UInt8]
  /// Every opening for writing raises it, before the first append.
  package var epoch: UInt32
  package var createdAt: Timestamp
  /// The end at the last orderly close: evidence that everything below it was durable. It stays true.
  package var cleanEnd: CommitPoint.End?
  /// Where the log begins: retention has removed, or is about to remove, everything below. Nil in version 1.
  package var start: SegmentName?

  init(
    logID: [UInt8], epoch: UInt32, createdAt: Timestamp, cleanEnd: CommitPoint.End? = nil, start: SegmentName? = nil
  ) {
    self.logID = logID
    self.epoch = epoch
    self.createdAt = createdAt
    self.cleanEnd = cleanEnd
    self.start = start
  }

  package func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: Self.version)
    bytes.append(contentsOf: logID)
    bytes.append(littleEndian: epoch)
    bytes.append(littleEndian: createdAt.nanoseconds)
    bytes.append(cleanEnd == nil ? 0 : 1)
    if let end = cleanEnd {
      bytes.append(littleEndian: end.segment)
      bytes.append(littleEndian: end.position)
      bytes.append(littleEndian: end.offset.rawValue)
    }
    bytes.append(start == nil ? 0 : 1)
    if let start {
      bytes.append(littleEndian: start.sequence)
      bytes.append(littleEndian: start.baseOffset.rawValue)
    }
    return bytes
  }

  package init(decoding bytes: [UInt8]) throws(LogError) {
    var reader = ByteReader(bytes, of: "META")
    let version = try reader.take(UInt16.self)
    guard (1...Self.version).contains(version) else {
      throw LogError(
        .futureFormat, "META has version \(version), this penstock knows up to \(Self.version); use a newer one")
    }
    logID = try reader.take(16)
    epoch = try reader.take(UInt32.self)
    createdAt = Timestamp(nanoseconds: try reader.take(Int64.self))
    cleanEnd = nil
    if try reader.take(UInt8.self) == 1 {
      cleanEnd = CommitPoint.End(
        segment: try reader.take(UInt64.self), position: try reader.take(UInt64.self),
        offset: Offset(try reader.take(UInt64.self)))
    }
    start = nil
    if version > 1, try reader.take(UInt8.self) == 1 {
      start = SegmentName(sequence: try reader.take(UInt64.self), baseOffset: Offset(try reader.take(UInt64.self)))
    }
  }

  package static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
