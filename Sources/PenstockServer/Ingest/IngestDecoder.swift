package import PenstockEvents
import PenstockLog

/// Decodes the bytes of one body into the batch to append: finds the records, and validates each. A pure value, fed
/// with pieces; the result does not depend on where the body is cut.
///
/// NDJSON is decoded as it arrives. A JSON array is collected and decoded at the end in one pass, because only its end
/// proves that it is JSON. Either way the decoder holds at most the body and its records.
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

  /// Bytes of memory it holds now or will hold at the end of the body, approximately. An array and its records are in
  /// memory together.
  package var heldBytes: Int { 2 * body.count + result.heldBytes }

  /// Decodes the next bytes.
  ///
  /// - Throws: the first error, as soon as it is known; every later call throws the same error.
  package mutating func feed(_ chunk: UnsafeRawBufferPointer) throws(EventError) {
    if let failure { throw failure }
    do throws(EventError) {
      // The bytes within the limit are decoded first, so that the first error does not depend on how the body is cut.
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
  ///
  /// - Throws: the first error of the body.
  package mutating func finish() throws(EventError) -> IngestResult {
    if let failure { throw failure }
    do throws(EventError) {
      switch format {
      case .ndjson:
        try splitter.finish(refused: { (error) throws(EventError) in try Self.refuse(error, rules, &result) }) {
          (line, place) throws(EventError) in
          try Self.take(line, place, validator, rules, &result)
        }
        if result.records == 0 { throw EventError(.empty, "the body holds no events", position: 0) }
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

  /// An NDJSON line that the splitter rejected: too long, or with a byte order mark.
  private static func refuse(
    _ error: EventError, _ rules: IngestRules, _ result: inout IngestResult
  ) throws(EventError) {
    if rules.onError == .reject { throw error }
    try result.makeRoom(rules, at: error.recordPosition ?? 0)
    try result.refuse(error, rules)
  }

  /// One NDJSON line.
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

  /// A JSON body.
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

  /// A body that is a single event. An invalid one is always rejected, because nothing would remain.
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
