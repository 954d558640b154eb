import PenstockSinks

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One request, as the ledger keeps it.
struct LedgerEntry: Codable, Hashable {
  var id: String
  /// `first-last`, as the sender said.
  var range: String?
  /// Of the body.
  var sha256: String
  var duplicate: Bool
  /// What was answered.
  var status: Int
  /// How many rows this request added to the output.
  var rows: Int
  /// How long the output was afterwards, in bytes. Written after the rows: whatever the output holds beyond the last
  /// entry's end was not finished, and a restart cuts it off.
  var end: Int
  /// Whether this request is the one that stored the batch.
  var stored: Bool

  func line() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }
}

/// What has been seen: decides whether a batch is new.
struct ReceiverLedger {
  enum Finding: Hashable {
    case new, duplicate
    /// Same id, other body.
    case violation
  }

  /// Id to SHA-256 of what is stored.
  private(set) var stored: [String: String] = [:]
  /// Where the output ends according to the last entry.
  private(set) var end = 0
  /// Length of the ledger's whole lines, in bytes.
  private(set) var length = 0

  init() {}

  /// Reads a ledger. A last line without its line feed was being written when the receiver died, before it answered;
  /// it is left out. Anything else that cannot be read is an error.
  init(reading bytes: [UInt8]) throws(ReceiverError) {
    let decoder = JSONDecoder()
    var number = 0
    var start = 0
    while let lineFeed = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      number += 1
      guard let entry = try? decoder.decode(LedgerEntry.self, from: Data(bytes[start..<lineFeed])) else {
        throw ReceiverError("line \(number) of the ledger is not an entry")
      }
      note(entry)
      start = lineFeed + 1
    }
    length = start
  }

  func find(id: String, sha256: String) -> Finding {
    guard let known = stored[id] else { return .new }
    return known == sha256 ? .duplicate : .violation
  }

  mutating func note(_ entry: LedgerEntry) {
    if entry.stored { stored[entry.id] = entry.sha256 }
    end = entry.end
  }
}
