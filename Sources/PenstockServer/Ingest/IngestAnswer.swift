import PenstockEvents
import PenstockLog
import PenstockSupport

/// The answer to a request whose records are in the log.
struct IngestAnswer {
  private let result: IngestResult
  private let first: Offset?
  private let isDuplicate: Bool
  private let isListing: Bool
  private let count: Int

  /// - Parameters:
  ///   - first: the first record's offset; nil when nothing was appended or the log no longer remembers it.
  ///   - isListing: whether the answer reports the result of each record.
  ///   - count: for a duplicate, how many records its first request appended.
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
      // For a duplicate the offsets of this body's records are not known.
      if !isDuplicate { text += ",\"results\":" + OrderedJSON.array(results).text }
    }
    return Answer(200, text + "}")
  }

  /// One result for each record, in order: its offset, or its error.
  private var results: [OrderedJSON] {
    var refused = result.refused[...]
    var offset = first ?? .zero
    return (0..<result.records).map { number in
      if let error = refused.first, error.record == number {
        refused.removeFirst()
        let members: [(String, OrderedJSON)] = [
          ("code", .string(error.code.rawValue)), ("message", .string(error.message)),
        ]
        return .object([("error", .object(members + error.members))])
      }
      defer { offset = offset + 1 }
      return .object([("offset", .number(offset.rawValue))])
    }
  }
}
