import PenstockSinks

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The ledger's entry for one request.
struct LedgerEntry: Codable, Hashable {
  var id: String
  /// `first-last`, as the sender sent it.
  var range: String?
  /// The hash of the body.
  var sha256: String
  var duplicate: Bool
  /// The status of the answer.
  var status: Int
  /// How many rows this request added to the output.
  var rows: Int
  /// The length of the output after this request, in bytes. It is written after the rows: a restart cuts off everything
  /// beyond the last entry's end, because it was not finished.
  var end: Int
  /// Whether this request stored the batch.
  var stored: Bool

  func line() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }
}

/// The known batches.
struct ReceiverLedger {
  enum Result: Hashable {
    case new, duplicate
    /// A known id with another body.
    case violation
  }

  /// The SHA-256 of each stored body, by id.
  private(set) var stored: [String: String] = [:]
  /// The length of the output according to the last entry, in bytes.
  private(set) var end = 0
  /// The length of the ledger's complete lines, in bytes.
  private(set) var length = 0

  init() {}

  /// Reads a ledger. A last line without a line feed is ignored: the receiver died while it wrote the line, before it
  /// answered.
  ///
  /// - Throws: ``ReceiverError`` when any other line cannot be read.
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

  func find(id: String, sha256: String) -> Result {
    guard let known = stored[id] else { return .new }
    return known == sha256 ? .duplicate : .violation
  }

  mutating func note(_ entry: LedgerEntry) {
    if entry.stored { stored[entry.id] = entry.sha256 }
    end = entry.end
  }
}
