/// Reads a body that is one JSON array of events: splits and validates in one pass, without copying.
///
/// Says of each element what ``JSONArraySplitter`` and ``EventValidator`` would say, one after the other. O(body bytes) where
/// every element is an event; an element that is none is scanned once more, to find where it ends.
public struct EventArrayReader: Sendable {
  /// What an element is.
  public enum Element: Sendable {
    case event(EventSummary)
    /// No event, or too long. The error names its number and its byte.
    case refused(EventError)
  }

  public let validator: EventValidator
  /// The longest element allowed, in bytes.
  public let maxRecordBytes: Int

  public init(validator: EventValidator = EventValidator(), maxRecordBytes: Int = .max) {
    self.validator = validator
    self.maxRecordBytes = maxRecordBytes
  }

  /// Calls `element` with what each element is, its byte range without the white space around it, and its number from 0.
  ///
  /// - Returns: how many elements the array has.
  /// - Throws: `EventError` for the first place that is no JSON and leaves open where the element ends, or what
  ///   `element` throws. What is wrong within a string (half a surrogate pair, bytes that are no UTF-8), or too deep,
  ///   refuses its own element alone.
  @discardableResult
  public func read(
    _ body: UnsafeRawBufferPointer,
    _ element: (Element, Range<Int>, _ number: Int) throws(EventError) -> Void
  ) throws(EventError) -> Int {
    // An element may be nested as deep as the limit, within the array.
    var scanner = JSONScanner(body, depthLimit: validator.depthLimit)
    return try scanner.walkArray { (scanner, number) throws(EventError) in
      let start = scanner.position
      let found = try readElement(&scanner, number)
      try element(found, start..<scanner.position, number)
    }
  }

  private func readElement(_ scanner: inout JSONScanner, _ number: Int) throws(EventError) -> Element {
    let start = scanner.position
    let found: Element
    do throws(EventError) {
      found = .event(try validator.validate(&scanner, isDocument: false))
    } catch {
      let refusal = error.counted(from: start).inRecord(number, startingAt: start)
      scanner.position = start
      do { try scanner.scanValue() } catch {
        let fault = EventError(error, in: scanner.bytes, origin: start).inRecord(number, startingAt: start)
        scanner.position = start
        guard error.reason.leavesStructure, scanner.passOverValue() else { throw fault }
      }
      found = .refused(refusal)
    }
    guard scanner.position - start > maxRecordBytes else { return found }
    let message = "the record is longer than \(maxRecordBytes) bytes"
    return .refused(
      EventError(.recordTooLong, message, position: maxRecordBytes).inRecord(number, startingAt: start))
  }
}
