package import PenstockEvents
import PenstockLog

/// Turns the bytes of one body into the batch to append: finds the records, checks each, and says what is wrong with the
/// others. A pure value, fed with pieces; where they are cut makes no difference to what comes out.
///
/// NDJSON is read as it comes. An array is gathered and read at the end in one pass, because only its end proves that it is
/// JSON, and nothing of a body is appended before that anyway. Either way it holds at most the body and its records.
package struct IngestDecoder: Sendable {
  private let format: IngestFormat
  private let rules: IngestRules
  private let validator: EventValidator
  private var splitter: NDJSONSplitter
  private var body: [UInt8] = []
  private var bodyBytes = 0
  private var result = IngestResult()
  private var failure: EventError?

  package init(_ format: IngestFormat, _ rules: IngestRules) {
    self.format = format
    self.rules = rules
    validator = EventValidator(depthLimit: rules.depthLimit, appID: rules.appID)
    splitter = NDJSONSplitter(maxLineBytes: max(1, rules.maxEventBytes))
  }

  /// Bytes of memory it holds, more or less, or will hold at the body's end: an array is still there when its records have been
  /// taken out of it.
  package var heldBytes: Int { 2 * body.count + result.heldBytes }

  /// Takes the next bytes.
  ///
  /// - Throws: the first thing wrong, as soon as it is known; from then on the same again.
  package mutating func feed(_ chunk: UnsafeRawBufferPointer) throws(EventError) {
    if let failure { throw failure }
    do throws(EventError) {
      // What lies within the limit is read first, so that the first fault of a body does not depend on its pieces.
      let taken = min(chunk.count, rules.maxBodyBytes - bodyBytes)
      bodyBytes += taken
      try take(UnsafeRawBufferPointer(rebasing: chunk[..<taken]))
      if taken < chunk.count { throw tooLong }
    } catch {
      failure = error
      throw error
    }
  }

  /// Ends the body. Call it once.
  package mutating func finish() throws(EventError) -> IngestResult {
    if let failure { throw failure }
    do throws(EventError) {
      switch format {
      case .ndjson:
        try splitter.finish(refused: { (error) throws(EventError) in try Self.refuse(error, rules, &result) }) {
          (line, place) throws(EventError) in
          try Self.take(line, place, validator, rules, &result)
        }
        if result.records == 0 { throw EventError(.empty, "expected events, found nothing", position: 0) }
      case .json:
        let held = body
        body = []
        result.reserve(bytes: held.count)
        try held.withUnsafeBufferPointer { (bytes) throws(EventError) in
          try read(UnsafeRawBufferPointer(bytes))
        }
      }
    } catch {
      failure = error
      throw error
    }
    return result
  }

  private mutating func take(_ chunk: UnsafeRawBufferPointer) throws(EventError) {
    switch format {
    case .json: body.append(contentsOf: chunk)
    case .ndjson:
      try splitter.feed(chunk, refused: { (error) throws(EventError) in try Self.refuse(error, rules, &result) }) {
        (line, place) throws(EventError) in
        try Self.take(line, place, validator, rules, &result)
      }
    }
  }

  private var tooLong: EventError {
    EventError(
      .bodyTooLong, "the body is longer than \(rules.maxBodyBytes) bytes", position: rules.maxBodyBytes)
  }

  /// One line of NDJSON that is not even looked at: too long, or behind a byte order mark.
  private static func refuse(
    _ error: EventError, _ rules: IngestRules, _ result: inout IngestResult
  ) throws(EventError) {
    if rules.onError == .reject { throw error }
    try result.makeRoom(rules, at: error.recordPosition ?? 0)
    try result.refuse(error, rules)
  }

  /// One line of NDJSON.
  private static func take(
    _ line: UnsafeRawBufferPointer, _ place: NDJSONSplitter.Line, _ validator: EventValidator, _ rules: IngestRules,
    _ result: inout IngestResult
  ) throws(EventError) {
    try result.makeRoom(rules, at: place.position)
    let summary: EventSummary
    do throws(EventError) {
      summary = try validator.validate(line)
    } catch {
      return try result.refuse(error.inRecord(place.record, startingAt: place.position), rules)
    }
    result.accept(line, summary)
  }

  /// A whole body of JSON.
  private mutating func read(_ bytes: UnsafeRawBufferPointer) throws(EventError) {
    guard bytes.first(where: { !Self.isWhitespace($0) }) == UInt8(ascii: "[") else { return try readEvent(bytes) }
    let reader = EventArrayReader(validator: validator, maxRecordBytes: rules.maxEventBytes)
    try reader.read(bytes) { (element, range, _) throws(EventError) in
      try result.makeRoom(rules, at: range.lowerBound)
      switch element {
      case .event(let summary): result.accept(UnsafeRawBufferPointer(rebasing: bytes[range]), summary)
      case .refused(let error): try result.refuse(error, rules)
      }
    }
  }

  /// A body that is one event. It is refused whole even where bad records are left out: there is no other.
  private mutating func readEvent(_ bytes: UnsafeRawBufferPointer) throws(EventError) {
    let summary: EventSummary
    do throws(EventError) {
      summary = try validator.validate(bytes)
    } catch {
      throw error.inRecord(0, startingAt: 0)
    }
    let first = bytes.firstIndex { !Self.isWhitespace($0) } ?? 0
    let end = (bytes.lastIndex { !Self.isWhitespace($0) } ?? 0) + 1
    guard end - first <= rules.maxEventBytes else {
      throw EventError(
        .recordTooLong, "the record is longer than \(rules.maxEventBytes) bytes", position: rules.maxEventBytes
      ).inRecord(0, startingAt: first)
    }
    result.accept(UnsafeRawBufferPointer(rebasing: bytes[first..<end]), summary)
  }

  private static func isWhitespace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }
}
