import PenstockDelivery
import PenstockLog
import PenstockSupport

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension ManifestEntry {
  /// Parses a stored entry. Returns it with the hash of its stored line; nil if it is not a valid entry.
  ///
  /// Strict: the line must be exactly what this type writes. Otherwise another program has written or changed it.
  static func parse(_ bytes: [UInt8]) -> (entry: ManifestEntry, hash: String)? {
    guard bytes.last == UInt8(ascii: "\n") else { return nil }
    let line = Array(bytes.dropLast())
    guard let entry = try? JSONDecoder().decode(ManifestEntry.self, from: Data(line)), entry.version == 1,
      entry.first <= entry.last, entry.last < .max, entry.count >= 0, entry.bytes >= 0, Array(entry.line.utf8) == line
    else { return nil }
    return (entry, hash(ofLine: line))
  }

  /// Whether the id matches log, cursor, range and content.
  var hasOwnID: Bool {
    guard let digest = Digest.decodeHex(sha256) else { return false }
    return id
      == DeliveryID(
        logID: log, cursor: cursor, first: Offset(first), end: Offset(last + 1), contentDigest: digest
      ).rawValue
  }
}
