/// A walk over the top-level members of one JSON object, which checks everything it passes.
struct ObjectWalk {
  struct Member {
    /// The position of the `{` or `,` before the member.
    let separator: Int
    /// The position of the key's opening quote.
    let start: Int
    let key: JSONString
    let field: EventField?
    let kind: JSONKind
    let value: Range<Int>
    /// The value's content if it is a string.
    let string: JSONString?
  }

  private(set) var scanner: JSONScanner
  /// Whether nothing but white space may follow the object.
  private let isDocument: Bool
  private var isFirst = true
  /// The known field whose value was being scanned last: where a fault lies, if one was thrown.
  private(set) var currentField: EventField?

  /// Begins at the scanner's position, which is on the opening brace. Ends with the document, or else with the closing brace.
  init(_ scanner: JSONScanner, isDocument: Bool = true) {
    self.scanner = scanner
    self.isDocument = isDocument
  }

  /// The next member; nil once the object is over, and the white space after it where it is the document.
  @inline(__always)
  mutating func next() throws(JSONFault) -> Member? {
    let separator = scanner.position
    let byte = scanner.current
    currentField = nil
    if byte == UInt8(ascii: "}") { return try end() }
    guard isFirst || byte == UInt8(ascii: ",") else { throw scanner.fault(.expectedCommaOrBrace) }
    scanner.position &+= 1
    scanner.skipWhitespace()
    if isFirst, scanner.current == UInt8(ascii: "}") { return try end() }
    isFirst = false
    return try member(after: separator)
  }

  private mutating func end() throws(JSONFault) -> Member? {
    scanner.position &+= 1
    if isDocument { try scanner.endDocument() }
    return nil
  }

  @inline(__always)
  private mutating func member(after separator: Int) throws(JSONFault) -> Member {
    let start = scanner.position
    let key = try scanner.scanKey()
    let field = EventField(key, in: scanner.bytes)
    currentField = field
    scanner.skipWhitespace()
    guard let kind = JSONKind(firstByte: scanner.current) else { throw scanner.fault(.expectedValue) }
    let valueStart = scanner.position
    var string: JSONString?
    if kind == .string {
      string = try scanner.scanString()
    } else {
      try scanner.scanValue(within: 1)
    }
    let value = valueStart..<scanner.position
    scanner.skipWhitespace()
    return Member(separator: separator, start: start, key: key, field: field, kind: kind, value: value, string: string)
  }
}
