/// Splits a body that is one JSON array into its elements, without copying them.
///
/// Takes the whole body at once, one pass, O(body bytes), and allocates only to report an error. It checks that the
/// elements are JSON; the validator checks that they are events.
public struct JSONArraySplitter: Sendable {
  /// The longest body allowed, in bytes.
  public let maxBodyBytes: Int
  /// The longest element allowed, in bytes.
  public let maxRecordBytes: Int
  /// How many arrays and objects may be open at once within an element, as for `EventValidator`.
  public let depthLimit: Int

  /// A splitter with these limits; the depth is limited to 1 … 128.
  public init(maxBodyBytes: Int, maxRecordBytes: Int = .max, depthLimit: Int = 128) {
    self.maxBodyBytes = maxBodyBytes
    self.maxRecordBytes = maxRecordBytes
    self.depthLimit = min(max(depthLimit, 1), JSONScanner.deepest)
  }

  /// Calls `element` with the byte range and the number (from 0) of each element, in order.
  ///
  /// A range covers the element alone, without surrounding white space. The elements before an error have been passed
  /// to `element` already: a caller that wants all or nothing collects first.
  ///
  /// - Returns: The number of elements in the array.
  /// - Throws: `EventError` for the first error, or what `element` throws. An error in an element, or right after it
  ///   such as a missing comma, has the element's number and the byte within it. An error outside of every element,
  ///   such as a body that is not an array, has the byte of the body.
  @discardableResult
  public func split(
    _ body: UnsafeRawBufferPointer,
    _ element: (Range<Int>, _ number: Int) throws(EventError) -> Void
  ) throws(EventError) -> Int {
    if body.count > maxBodyBytes {
      throw EventError(.bodyTooLong, "the body is longer than \(maxBodyBytes) bytes", position: maxBodyBytes)
    }
    var scanner = JSONScanner(body, depthLimit: depthLimit)
    return try scanner.walkArray { (scanner, number) throws(EventError) in
      try element(try scanElement(&scanner, number), number)
    }
  }

  private func scanElement(_ scanner: inout JSONScanner, _ number: Int) throws(EventError) -> Range<Int> {
    let start = scanner.position
    do { try scanner.scanValue() } catch {
      throw EventError(error, in: scanner.bytes, origin: start).inRecord(number, startingAt: start)
    }
    let range = start..<scanner.position
    if range.count > maxRecordBytes {
      let message = "the record is longer than \(maxRecordBytes) bytes"
      throw EventError(.recordTooLong, message, position: maxRecordBytes).inRecord(number, startingAt: start)
    }
    return range
  }
}
