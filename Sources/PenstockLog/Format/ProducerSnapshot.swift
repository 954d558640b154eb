// PRODUCERS.a and PRODUCERS.b: what the log knew of its producers when a segment was begun. Little endian:
//
//     u32 "PNPR" · u16 version 1 · u16 zero · 16 bytes log UUID · u64 generation · u64 end: covers all blocks below ·
//     u8 whether every producer that is absent here has never appended · u32 producers, each:
//         u8 name length, name · u64 epoch · u64 sequence of the newest append · u8 source length, source ·
//         u8 whether the log may have forgotten appends · u64 one past the newest append's records ·
//         u8 n ≤ 16, then n remembered appends, oldest first: u64 sequence · u64 first offset · u32 records
//     u32 CRC-32C of everything before
//
// At most 480 bytes for a producer.

/// A ``ProducerTable`` at one offset of the log, as bytes.
struct ProducerSnapshot: Hashable, Sendable {
  private static let magic: UInt32 = 0x5250_4E50  // "PNPR"
  private static let version: UInt16 = 1
  private static let entryBytes = 480
  /// The most bytes that a file may have, whatever its fields say.
  static let maxBytes = 64 + LogConfiguration.producersRange.upperBound * entryBytes

  var logID: [UInt8]
  var generation: UInt64
  var end: Offset
  var isComplete: Bool
  var entries: [String: ProducerTable.Entry]

  init(_ table: ProducerTable, logID: [UInt8], generation: UInt64, end: Offset) {
    self.logID = logID
    self.generation = generation
    self.end = end
    isComplete = table.isComplete
    // Appends in flight and open handles end with the process.
    entries = table.entries.filter { $0.value.last > 0 }.mapValues {
      var entry = $0
      entry.isOpen = false
      entry.reserved = entry.last
      return entry
    }
  }

  func table(capacity: Int) -> ProducerTable {
    ProducerTable(capacity: capacity, restoring: entries, isComplete: isComplete, end: end)
  }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: Self.magic)
    bytes.append(littleEndian: Self.version)
    bytes.append(littleEndian: UInt16(0))
    bytes.append(contentsOf: logID)
    bytes.append(littleEndian: generation)
    bytes.append(littleEndian: end.rawValue)
    bytes.append(isComplete ? 1 : 0)
    bytes.append(littleEndian: UInt32(entries.count))
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) { Self.append(name, entry, to: &bytes) }
    bytes.append(littleEndian: Checksum.of(bytes))
    return bytes
  }

  private static func append(_ name: String, _ entry: ProducerTable.Entry, to bytes: inout [UInt8]) {
    bytes.append(UInt8(name.utf8.count))
    bytes.append(contentsOf: name.utf8)
    bytes.append(littleEndian: entry.epoch)
    bytes.append(littleEndian: entry.last)
    bytes.append(UInt8(entry.source.count))
    bytes.append(contentsOf: entry.source)
    bytes.append(entry.isUncertain ? 1 : 0)
    bytes.append(littleEndian: entry.usedAt.rawValue)
    bytes.append(UInt8(entry.recent.count))
    for append in entry.recent {
      bytes.append(littleEndian: append.sequence)
      bytes.append(littleEndian: append.offsets.lowerBound.rawValue)
      bytes.append(littleEndian: UInt32(append.offsets.upperBound - append.offsets.lowerBound))
    }
  }

  /// Throws `.damaged` for bytes that are not exactly what was written, `.futureFormat` for a later version.
  init(decoding bytes: [UInt8]) throws(LogError) {
    let name = "the producers' snapshot"
    guard bytes.count > 8 else { throw LogError(.damaged, "\(name) is too short") }
    let stored = bytes.suffix(4).withUnsafeBytes { $0.get(UInt32.self, at: 0) }
    guard Checksum.of(Array(bytes.dropLast(4))) == stored else { throw LogError(.damaged, "\(name) has changed") }
    var reader = ByteReader(bytes, of: name)
    guard try reader.take(UInt32.self) == Self.magic else { throw LogError(.damaged, "\(name) has no valid magic") }
    let version = try reader.take(UInt16.self)
    guard version == Self.version else {
      throw LogError(
        .futureFormat, "\(name) has version \(version), this penstock knows \(Self.version); use a newer one")
    }
    _ = try reader.take(UInt16.self)
    logID = try reader.take(16)
    generation = try reader.take(UInt64.self)
    end = Offset(try reader.take(UInt64.self))
    isComplete = try reader.take(UInt8.self) == 1
    entries = [:]
    for _ in 0..<(try reader.take(UInt32.self)) {
      let (name, entry) = try Self.entry(&reader)
      entries[name] = entry
    }
  }

  private static func entry(_ reader: inout ByteReader) throws(LogError) -> (String, ProducerTable.Entry) {
    // A name that is not UTF-8 would be written differently than it was read, and longer.
    guard let name = String(validating: try reader.take(Int(try reader.take(UInt8.self))), as: UTF8.self) else {
      throw LogError(.damaged, "the producers' snapshot contradicts itself: a name")
    }
    var entry = ProducerTable.Entry()
    entry.epoch = try reader.take(UInt64.self)
    entry.last = try reader.take(UInt64.self)
    entry.reserved = entry.last
    entry.source = try reader.take(Int(try reader.take(UInt8.self)))
    entry.isUncertain = try reader.take(UInt8.self) == 1
    entry.usedAt = Offset(try reader.take(UInt64.self))
    for _ in 0..<(try reader.take(UInt8.self)) {
      let sequence = try reader.take(UInt64.self)
      let first = Offset(try reader.take(UInt64.self))
      let (end, overflow) = first.rawValue.addingReportingOverflow(UInt64(try reader.take(UInt32.self)))
      guard !overflow else { throw LogError(.damaged, "the producers' snapshot contradicts itself: offsets") }
      entry.recent.append(ProducerTable.Append(sequence: sequence, offsets: first..<Offset(end)))
    }
    return (name, entry)
  }
}
