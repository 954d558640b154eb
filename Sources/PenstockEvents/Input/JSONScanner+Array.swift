extension JSONScanner {
  /// Walks a document that is one array, from its beginning to its end. `element` is called at the first byte of each
  /// element and leaves the scanner after its last byte. An error after an element, such as a missing comma, has its
  /// number.
  ///
  /// - Returns: The number of elements in the array.
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

  /// Moves from after the opening bracket to after the closing one.
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

extension JSONScanner {
  /// Moves over a value that is not JSON because of a string in it, or because it is too deep. Its quotes and brackets
  /// alone show where it ends. False when they do not close.
  mutating func skipValue() -> Bool {
    var depth = 0
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""): guard skipString() else { return false }
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        position += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return true }
        depth -= 1
        position += 1
        if depth == 0 { return true }
      case UInt8(ascii: ",") where depth == 0: return true
      default: position += 1
      }
    }
    return false
  }

  private mutating func skipString() -> Bool {
    position += 1
    while position < bytes.count {
      let byte = bytes[position]
      position += byte == UInt8(ascii: "\\") ? 2 : 1
      if byte == UInt8(ascii: "\"") { return true }
    }
    position = min(position, bytes.count)
    return false
  }
}

extension JSONFault.Reason {
  /// Whether quotes and brackets still show the structure.
  var leavesStructure: Bool {
    switch self {
    case .loneSurrogate, .invalidUTF8, .controlCharacter, .unknownEscape, .expectedHexDigits, .tooDeep: true
    default: false
    }
  }
}
