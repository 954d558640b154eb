extension JSONScanner {
  /// Walks a document that is one array, from its beginning to its end. `element` is called at the first byte of each element and
  /// leaves the scanner behind its last; a fault behind it, such as a missing comma, names its number.
  ///
  /// - Returns: how many elements the array has.
  mutating func walkArray(
    _ element: (inout JSONScanner, _ number: Int) throws(EventError) -> Void
  ) throws(EventError) -> Int {
    do { try beginDocument() } catch { throw EventError(error, in: bytes) }
    guard current == UInt8(ascii: "[") else { throw notAnArray }
    position += 1
    let count = try walkElements(element)
    do { try endDocument() } catch { throw EventError(error, in: bytes) }
    return count
  }

  /// Goes from behind the opening bracket to behind the closing one.
  private mutating func walkElements(
    _ element: (inout JSONScanner, _ number: Int) throws(EventError) -> Void
  ) throws(EventError) -> Int {
    var number = 0
    skipWhitespace()
    if current == UInt8(ascii: "]") {
      position += 1
      return number
    }
    while true {
      skipWhitespace()
      let start = position
      try element(&self, number)
      skipWhitespace()
      let byte = current
      guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") else {
        throw EventError(fault(.expectedCommaOrBracket), in: bytes, origin: start).inRecord(number, startingAt: start)
      }
      position += 1
      number += 1
      if byte == UInt8(ascii: "]") { return number }
    }
  }

  private var notAnArray: EventError {
    guard let kind = JSONKind(firstByte: bytes[position]) else {
      return EventError(fault(.expectedValue), in: bytes)
    }
    return EventError(.notAnArray, "expected an array, found \(kind.noun)", position: position)
  }
}
