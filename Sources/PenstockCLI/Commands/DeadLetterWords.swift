import Foundation
import PenstockDelivery
import PenstockLog

/// One dead letter, as it is shown.
struct DeadLetterWords {
  let number: Offset
  let letter: DeadLetter

  init(_ number: Offset, _ letter: DeadLetter) {
    self.number = number
    self.letter = letter
  }

  private var members: [(String, JSON)] {
    [
      ("number", .number(number.rawValue)), ("offset", .number(letter.offset.rawValue)),
      ("appendTime", .string(Words.time(letter.appendTime))), ("buriedAt", .string(Words.time(letter.buriedAt))),
      ("kind", .string(kind)), ("attempts", .number(letter.attempts)), ("reason", .string(letter.reason)),
      ("destination", .string(letter.destination)), ("delivery", .string(letter.deliveryID.rawValue)),
      ("log", .string(letter.logID)), ("bytes", .number(letter.record.count)),
    ]
  }

  private var kind: String { letter.isUnrenderable ? "unrenderable" : "rejected" }
  var json: JSON { .object(members) }

  /// The record as text, or in base64 where it is none.
  var fullJSON: JSON {
    let text = String(validating: letter.record, as: UTF8.self)
    let record: (String, JSON) =
      text.map { ("record", .string($0)) } ?? ("recordBase64", .string(Data(letter.record).base64EncodedString()))
    return .object(members + [record])
  }

  var full: String {
    Words.table([
      ["dead letter", "\(number)"], ["kind", kind], ["reason", letter.reason], ["attempts", "\(letter.attempts)"],
      ["destination", letter.destination], ["offset", "\(letter.offset)"], ["appended", Words.time(letter.appendTime)],
      ["given up", Words.time(letter.buriedAt)], ["delivery", letter.deliveryID.rawValue], ["log", letter.logID],
      ["bytes", "\(letter.record.count)"],
    ]) + "\n\n" + String(decoding: letter.record, as: UTF8.self)
  }

  static func table(_ found: [DeadLetters.Numbered], of count: Int) -> String {
    var rows = [["number", "offset", "given up", "kind", "attempts", "bytes", "reason"]]
    for words in found.map({ DeadLetterWords($0.number, $0.letter) }) {
      rows.append([
        "\(words.number)", "\(words.letter.offset)", Words.time(words.letter.buriedAt), words.kind,
        "\(words.letter.attempts)", "\(words.letter.record.count)",
        words.letter.reason.split(whereSeparator: \.isNewline).joined(separator: " "),
      ])
    }
    let table = Words.table(rows, right: [0, 1, 4, 5])
    return found.count < count ? table + "\n\(found.count) of \(Words.count(count)); see --from and --limit" : table
  }
}
