import Crypto
public import PenstockLog

extension DeliveryID {
  /// Names a delivery by its content: equal for equal content of the same range, cursor and log; different otherwise.
  ///
  /// The first 16 bytes, in hexadecimal, of SHA-256 over
  /// ```
  /// "penstock delivery 1" 00
  /// length of the log's id (8 bytes, big endian)   log id (UTF-8)
  /// length of the cursor's name (8)                cursor name (UTF-8)
  /// first (8)   end (8)
  /// length of the digest (8)                       content digest
  /// ```
  /// Each length precedes its field, so that no two lists of fields have the same encoding.
  public init(logID: String, cursor: String, first: Offset, end: Offset, contentDigest: [UInt8]) {
    var hash = SHA256()
    hash.updateBytes(Array("penstock delivery 1\0".utf8))
    hash.updateCounted(Array(logID.utf8))
    hash.updateCounted(Array(cursor.utf8))
    hash.updateNumber(first.rawValue)
    hash.updateNumber(end.rawValue)
    hash.updateCounted(contentDigest)
    self.init(Self.hexadecimal(hash.finalize().prefix(16)))
  }

  private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

extension SHA256 {
  fileprivate mutating func updateNumber(_ number: UInt64) {
    withUnsafeBytes(of: number.bigEndian) { update(bufferPointer: $0) }
  }

  fileprivate mutating func updateCounted(_ bytes: [UInt8]) {
    updateNumber(UInt64(bytes.count))
    updateBytes(bytes)
  }

  fileprivate mutating func updateBytes(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update(bufferPointer: $0) }
  }
}

extension PreparedBody {
  /// A body that is sent uncompressed. Complexity: one pass over `content`.
  public init(content: [UInt8], eventCount: Int) {
    var hash = SHA256()
    hash.updateBytes(content)
    self.init(
      bytes: content, contentDigest: Array(hash.finalize()), contentLength: content.count, eventCount: eventCount)
  }
}
