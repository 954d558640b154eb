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

  /// An entry has one of the two digests of its rows; ``parse(_:)`` finds whatever else is there or missing.
  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    version = try members.decode(Int.self, forKey: .version)
    log = try members.decode(String.self, forKey: .log)
    cursor = try members.decode(String.self, forKey: .cursor)
    id = try members.decode(String.self, forKey: .id)
    key = try members.decode(String.self, forKey: .key)
    first = try members.decode(UInt64.self, forKey: .first)
    last = try members.decode(UInt64.self, forKey: .last)
    count = try members.decode(Int.self, forKey: .count)
    bytes = try members.decode(Int.self, forKey: .bytes)
    sha256 = try members.decodeIfPresent(String.self, forKey: .sha256) ?? ""
    crc32c = try members.decodeIfPresent(String.self, forKey: .crc32c) ?? ""
    stored = try members.decode(Int.self, forKey: .stored)
    storedSHA256 = try members.decode(String.self, forKey: .storedSHA256)
    closed = try members.decode(String.self, forKey: .closed)
    previous = try members.decode(String.self, forKey: .previous)
  }

  /// Whether the id matches log, cursor, range and content.
  var hasOwnID: Bool {
    guard let digest = digest?.bytes(length: bytes) else { return false }
    return id
      == DeliveryID(
        logID: log, cursor: cursor, first: Offset(first), end: Offset(last + 1), contentDigest: digest
      ).rawValue
  }
}
