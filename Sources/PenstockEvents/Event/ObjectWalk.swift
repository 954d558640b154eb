/// Iterates over the top-level members of one JSON object, and checks everything on the way.
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
  /// Whether only white space may follow the object.
  private let isDocument: Bool
  private var isFirst = true
  /// The known field whose value was scanned last: a thrown fault is in it.
  private(set) var currentField: EventField?

  /// Begins at the scanner's position, which must be the opening brace. Ends with the document or with the closing
  /// brace.
  init(_ scanner: JSONScanner, isDocument: Bool = true) {
    self.scanner = scanner
    self.isDocument = isDocument
  }

  /// The next member. Nil at the end of the object or, when it is the document, of the white space after it.
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
