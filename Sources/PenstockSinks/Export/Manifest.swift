import PenstockLog
import PenstockSupport

/// The manifest of a cursor's export: one small object per batch, chained by hashes. A batch without rows has an entry
/// but no object, so the chain covers its records, too.
///
/// An entry's name is the end of its range. Batches follow each other without a gap, so the entry before a batch `first
/// ..< end` has the name `first`. The writer finds it by its name, without a list and without stored state. An entry is
/// written after its object and before the delivery is committed. After a crash in between, the delivery's next attempt
/// finds the object and writes the entry. See docs/internals/format.md, "The export manifest".
enum Manifest {
  static let name = "_penstock"

  /// The folder of a cursor's entries. It is next to the objects, and a list of the objects does not include it.
  static func folder(_ template: ObjectKeyTemplate, logID: String, cursor: String) -> String {
    let prefix = template.prefix(cursor: cursor)
    let parent = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
    return "\(parent)\(name)/\(logID)/\(cursor)/"
  }

  /// - Parameter end: The offset after the last record.
  static func key(in folder: String, end: UInt64) -> String { folder + end.padded(20) + ".json" }

  /// The end of an entry's range, from its key; nil for other keys.
  static func end(of key: String, in folder: String) -> UInt64? {
    guard key.hasPrefix(folder), key.hasSuffix(".json") else { return nil }
    let digits = key.dropFirst(folder.count).dropLast(5)
    guard digits.utf8.count == 20, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(digits)
  }

  /// The read limit of an entry, far above its size.
  static let maxEntryBytes = 16_384
}
