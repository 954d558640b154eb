import Crypto
import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Identifies the rows of an object, however they are compressed and whatever blocks they come from. A plan names the
/// kind. It detects accidents and another history of the same log, not an attacker.
enum ContentDigest: Hashable, Sendable {
  enum Kind: String, Hashable, Sendable {
    case sha256
    /// CRC-32C of the rows, with their length. Where frames are copied, it is made of what the log's blocks say of
    /// theirs.
    case crc32c

    /// What a plan says; SHA-256 where it says nothing.
    init(plan text: PlanText) throws(SinkError) {
      guard let name = text.optional("digest") else {
        self = .sha256
        return
      }
      guard let kind = Self(rawValue: name) else { throw SinkError("the plan of this delivery has digest=\(name)") }
      self = kind
    }
  }
  case sha256([UInt8])
  case crc32c(UInt32)

  var kind: Kind {
    switch self {
    case .sha256: .sha256
    case .crc32c: .crc32c
    }
  }

  /// In hexadecimal, as metadata and manifests have it.
  var text: String {
    switch self {
    case .sha256(let bytes): Digest.hex(bytes)
    case .crc32c(let checksum): Digest.hex(withUnsafeBytes(of: checksum.bigEndian) { Array($0) })
    }
  }

  /// Nil unless `text` is such a text.
  init?(_ kind: Kind, text: String) {
    guard let bytes = Digest.decodeHex(text) else { return nil }
    switch kind {
    case .sha256 where bytes.count == 32: self = .sha256(bytes)
    case .crc32c where bytes.count == 4: self = .crc32c(Self.number(bytes))
    default: return nil
    }
  }

  /// Of rows in memory.
  init(_ kind: Kind, of rows: [UInt8]) {
    switch kind {
    case .sha256: self = .sha256(Digest.sha256(rows))
    case .crc32c: self = .crc32c(Checksum.of(rows))
    }
  }
}

// What an intent holds of it: 32 bytes. Those of SHA-256 as they are. A CRC-32C as the name, the checksum and the
// length of the rows (both big endian), which is part of the digest: checksums of so few bits need it.
extension ContentDigest {
  private static let name = Array("penstock rows crc32c".utf8)

  /// - Parameter length: Of the rows, in bytes.
  func bytes(length: Int) -> [UInt8] {
    switch self {
    case .sha256(let bytes): return bytes
    case .crc32c(let checksum):
      return Self.name + withUnsafeBytes(of: checksum.bigEndian) { Array($0) }
        + withUnsafeBytes(of: UInt64(length).bigEndian) { Array($0) }
    }
  }

  /// What ``bytes(length:)`` was made of.
  init(bytes: [UInt8]) {
    guard bytes.starts(with: Self.name), bytes.count == Self.name.count + 12 else {
      self = .sha256(bytes)
      return
    }
    self = .crc32c(Self.number(bytes[Self.name.count..<Self.name.count + 4]))
  }

  private static func number(_ bytes: some Sequence<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
}

/// Takes a ``ContentDigest`` of rows that come in pieces.
struct ContentHasher {
  // One of them is used. An enum would copy the state of SHA-256 with each update.
  private var hash: SHA256?
  private var checksum = Checksum()
  /// Of the rows, in bytes.
  private(set) var length = 0

  init(_ kind: ContentDigest.Kind) { if kind == .sha256 { hash = SHA256() } }

  mutating func update(_ rows: [UInt8]) { rows.withUnsafeBytes { update($0) } }

  private mutating func update(_ rows: UnsafeRawBufferPointer) {
    length += rows.count
    if hash == nil { checksum.update(rows) } else { hash?.update(bufferPointer: rows) }
  }

  /// The rows of a whole block, whose frame is copied.
  mutating func update(block: BlockSlice) {
    guard hash == nil, let own = block.contentChecksum else { return block.payload.withUnsafeBytes { update($0) } }
    checksum = Checksum(seed: Checksum.joined(checksum.value, own, ofLength: block.payloadCount))
    length += block.payloadCount
  }

  func finish() -> [UInt8] {
    if let hash { return Array(hash.finalize()) }
    return ContentDigest.crc32c(checksum.value).bytes(length: length)
  }
}
