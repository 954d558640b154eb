import Foundation
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

/// Formats one dead letter as text or JSON.
struct DeadLetterFormat {
  let number: Offset
  let letter: DeadLetter

  init(_ number: Offset, _ letter: DeadLetter) {
    self.number = number
    self.letter = letter
  }

  private var members: [(String, JSON)] {
    [
      ("number", .number(number.rawValue)), ("offset", .number(letter.offset.rawValue)),
      ("appendTime", .string(HumanFormat.time(letter.appendTime))),
      ("deadLetteredAt", .string(HumanFormat.time(letter.deadLetteredAt))),
      ("kind", .string(kind)), ("attempts", .number(letter.attempts)), ("reason", .string(letter.reason)),
      ("destination", .string(letter.destination)), ("delivery", .string(letter.deliveryID.rawValue)),
      ("log", .string(letter.logID)), ("bytes", .number(letter.record.count)),
    ]
  }

  private var kind: String { letter.isUnrenderable ? "unrenderable" : "rejected" }
  var json: JSON { .object(members) }

  /// With the record: UTF-8 as text, everything else in base64.
  var fullJSON: JSON {
    let text = String(validating: letter.record, as: UTF8.self)
    let record: (String, JSON) =
      text.map { ("record", .string($0)) } ?? ("recordBase64", .string(Data(letter.record).base64EncodedString()))
    return .object(members + [record])
  }

  var full: String {
    HumanFormat.table([
      ["dead letter", "\(number)"], ["kind", kind], ["reason", letter.reason], ["attempts", "\(letter.attempts)"],
      ["destination", letter.destination], ["offset", "\(letter.offset)"],
      ["appended", HumanFormat.time(letter.appendTime)],
      ["given up", HumanFormat.time(letter.deadLetteredAt)], ["delivery", letter.deliveryID.rawValue],
      ["log", letter.logID],
      ["bytes", "\(letter.record.count)"],
    ]) + "\n\n" + String(decoding: letter.record, as: UTF8.self)
  }

  static func table(_ found: [DeadLetters.Numbered], of count: Int) -> String {
    var rows = [["number", "offset", "given up", "kind", "attempts", "bytes", "reason"]]
    for row in found.map({ DeadLetterFormat($0.number, $0.letter) }) {
      rows.append([
        "\(row.number)", "\(row.letter.offset)", HumanFormat.time(row.letter.deadLetteredAt), row.kind,
        "\(row.letter.attempts)", "\(row.letter.record.count)",
        row.letter.reason.split(whereSeparator: \.isNewline).joined(separator: " "),
      ])
    }
    let table = HumanFormat.table(rows, right: [0, 1, 4, 5])
    return found.count < count
      ? table + "\n\(found.count) of \(HumanFormat.count(count)); see --from and --limit" : table
  }
}
