import PenstockEvents
import PenstockLog

/// What a request is told when its records are in the log.
struct IngestAnswer {
  private let result: IngestResult
  private let first: Offset?
  private let isDuplicate: Bool
  private let isListing: Bool
  private let count: Int

  /// - Parameters:
  ///   - first: the first record's offset; nil where nothing was appended, or where it is not remembered.
  ///   - isListing: whether it says of each record what became of it.
  ///   - count: how many records are in the log under this request, where that is not what came this time.
  init(_ result: IngestResult, first: Offset?, isDuplicate: Bool, listing isListing: Bool, count: Int? = nil) {
    self.result = result
    self.first = first
    self.isDuplicate = isDuplicate
    self.isListing = isListing
    self.count = count ?? result.accepted
  }

  var answer: Answer {
    var text = "{\"accepted\":\(count)"
    if count > 0, let first { text += ",\"first\":\(first),\"last\":\(first + (count - 1))" }
    if isDuplicate { text += ",\"duplicate\":true" }
    if isListing {
      text += ",\"rejected\":\(result.refused.count)"
      // What a record of this body became is known only of the time it was appended.
      if !isDuplicate { text += ",\"results\":" + ServiceJSON.array(results).text }
    }
    return Answer(200, text + "}")
  }

  /// One for each record, in order: its offset, or what was wrong with it.
  private var results: [ServiceJSON] {
    var refused = result.refused[...]
    var offset = first ?? .zero
    return (0..<result.records).map { number in
      if let error = refused.first, error.record == number {
        refused.removeFirst()
        let said: [(String, ServiceJSON)] = [
          ("code", .string(error.code.rawValue)), ("message", .string(error.message)),
        ]
        return .object([("error", .object(said + error.members))])
      }
      defer { offset = offset + 1 }
      return .object([("offset", .number(offset.rawValue))])
    }
  }
}
