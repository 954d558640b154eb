/// How far the log reaches, for other processes: 64 bytes next to META. The writer overwrites them after every commit,
/// and syncs them only when no commit follows for a while.
///
/// The writer writes it only after the sync that it reports has returned. So any version of it that survives a crash is
/// true, though it may be old. Recovery takes it as evidence that bytes below `durable` were acknowledged.
///
/// 64 bytes, little endian: u32 "PNBC" · u32 version 1 · durable: u64 segment, u64 position, u64 offset · visible: the
/// same · u32 epoch · u32 CRC-32C of the 60 bytes before, seeded with the CRC-32C of the log's UUID.
package struct CommitPoint: Hashable, Sendable {
  /// An end of the log: one past the last record, and the position where its block ends.
  package struct End: Hashable, Sendable, Codable {
    package var segment: UInt64
    package var position: UInt64
    package var offset: Offset
    package init(segment: UInt64, position: UInt64, offset: Offset) {
      self.segment = segment
      self.position = position
      self.offset = offset
    }
  }

  static let size = 64
  private static let magic: UInt32 = 0x4342_4E50  // "PNBC"

  package var durable: End
  /// What readers see; after `durable` only in a log opened with a weaker durability.
  var visible: End
  var epoch: UInt32

  package init(durable: End, visible: End, epoch: UInt32) {
    self.durable = durable
    self.visible = visible
    self.epoch = epoch
  }

  package func encoded(logID: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.size)
    bytes.append(littleEndian: Self.magic)
    bytes.append(littleEndian: UInt32(1))
    for end in [durable, visible] {
      bytes.append(littleEndian: end.segment)
      bytes.append(littleEndian: end.position)
      bytes.append(littleEndian: end.offset.rawValue)
    }
    bytes.append(littleEndian: epoch)
    bytes.append(littleEndian: Checksum.of(bytes, seed: Checksum.of(logID)))
    return bytes
  }

  /// Nil when the bytes are not a commit point of this log, or are partly overwritten.
  init?(decoding bytes: [UInt8], logID: [UInt8]) {
    guard bytes.count >= Self.size else { return nil }
    let checksum = Checksum.of(Array(bytes[..<60]), seed: Checksum.of(logID))
    let fields: (UInt32, UInt32, [UInt64], UInt32, UInt32) = bytes.withUnsafeBytes { bytes in
      (
        bytes.get(UInt32.self, at: 0), bytes.get(UInt32.self, at: 4),
        (0..<6).map { bytes.get(UInt64.self, at: 8 + $0 * 8) }, bytes.get(UInt32.self, at: 56),
        bytes.get(UInt32.self, at: 60)
      )
    }
    guard fields.0 == Self.magic, fields.1 == 1, fields.4 == checksum else { return nil }
    durable = End(segment: fields.2[0], position: fields.2[1], offset: Offset(fields.2[2]))
    visible = End(segment: fields.2[3], position: fields.2[4], offset: Offset(fields.2[5]))
    epoch = fields.3
  }
}
