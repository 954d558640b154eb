import PenstockDelivery
import PenstockLog
import PenstockSupport

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension ManifestEntry {
  /// What a stored entry says, and the hash of its line as it stands; nil for what is no entry.
  ///
  /// Read strictly: a line that this entry would not be written as was written, or changed, by somebody else.
  static func parse(_ bytes: [UInt8]) -> (entry: ManifestEntry, hash: String)? {
    guard bytes.last == UInt8(ascii: "\n") else { return nil }
    let line = Array(bytes.dropLast())
    guard let entry = try? JSONDecoder().decode(ManifestEntry.self, from: Data(line)), entry.version == 1,
      entry.first <= entry.last, entry.last < .max, entry.count >= 0, entry.bytes >= 0, Array(entry.line.utf8) == line
    else { return nil }
    return (entry, hash(ofLine: line))
  }

  /// Whether the id is the one that log, cursor, range and content have.
  var hasOwnID: Bool {
    guard let digest = Digest.decodeHex(sha256) else { return false }
    return id
      == DeliveryID(
        logID: log, cursor: cursor, first: Offset(first), end: Offset(last + 1), contentDigest: digest
      ).rawValue
  }
}
