/// Reads a body that is one JSON array of events: splits and validates in one pass, without copying.
///
/// Gives the same result for each element as ``JSONArraySplitter`` followed by ``EventValidator``. O(body bytes) when
/// every element is an event. An element that is not one is scanned once more, to find its end.
public struct EventArrayReader: Sendable {
  /// The result for an element.
  public enum Element: Sendable {
    /// An event.
    case event(EventSummary)
    /// Not an event, or too long. The error has its number and its byte.
    case refused(EventError)
  }

  /// Checks each element.
  public let validator: EventValidator
  /// The longest element allowed, in bytes.
  public let maxRecordBytes: Int

  /// A reader that refuses elements longer than `maxRecordBytes`.
  public init(validator: EventValidator = EventValidator(), maxRecordBytes: Int = .max) {
    self.validator = validator
    self.maxRecordBytes = maxRecordBytes
  }

  /// Calls `element` for each element with its result, its byte range without surrounding white space, and its number
  /// from 0.
  ///
  /// - Returns: The number of elements in the array.
  /// - Throws: `EventError` for the first place that is not JSON and hides where the element ends, or what `element`
  ///   throws. An error within a string (half a surrogate pair, bytes that are not UTF-8), or too deep nesting, refuses
  ///   only its own element.
  @discardableResult
  public func read(
    _ body: UnsafeRawBufferPointer,
    _ element: (Element, Range<Int>, _ number: Int) throws(EventError) -> Void
  ) throws(EventError) -> Int {
    // The array itself takes one level, so an element may be nested as deep as the limit.
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
        guard error.reason.leavesStructure, scanner.skipValue() else { throw fault }
      }
      found = .refused(refusal)
    }
    guard scanner.position - start > maxRecordBytes else { return found }
    let message = "the record is longer than \(maxRecordBytes) bytes"
    return .refused(
      EventError(.recordTooLong, message, position: maxRecordBytes).inRecord(number, startingAt: start))
  }
}
