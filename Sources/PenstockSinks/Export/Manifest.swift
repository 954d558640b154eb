import PenstockLog
import PenstockSupport

/// The manifest of a cursor's export: one small object for each batch, chained by hashes. A batch of which the filter left
/// nothing has an entry and no object, so that the chain shows that its records were looked at.
///
/// An entry's name is the end of its range. Batches follow each other without a gap, so the entry before a batch `first ..<
/// end` is the one named `first`: it is found by its name, without a list and without anything remembered. An entry is
/// written after its object and before the delivery is committed; a crash in between is put right by the delivery's next
/// attempt, which finds the object and writes the entry. See docs/internals/format.md, "The export manifest".
enum Manifest {
  static let folder = "_penstock"

  /// The folder of a cursor's entries; it lies beside the objects, and no listing of theirs shows it.
  static func place(_ template: ObjectKeyTemplate, logID: String, cursor: String) -> String {
    let prefix = template.prefix(cursor: cursor)
    let beside = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
    return "\(beside)\(folder)/\(logID)/\(cursor)/"
  }

  /// - Parameter end: One past the last record.
  static func key(in place: String, end: UInt64) -> String { place + end.padded(20) + ".json" }

  /// The end that an entry's key tells, or nil.
  static func end(of key: String, in place: String) -> UInt64? {
    guard key.hasPrefix(place), key.hasSuffix(".json") else { return nil }
    let digits = key.dropFirst(place.count).dropLast(5)
    guard digits.utf8.count == 20, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(digits)
  }

  /// Far more than an entry takes.
  static let maxEntryBytes = 16_384
}
