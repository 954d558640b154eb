/// A strict scanner of JSON text (RFC 8259). It checks and finds boundaries, and builds nothing.
///
/// Where the RFC lets a parser choose, it is strict: no byte order mark, no lone surrogate escapes, nesting at most
/// `depthLimit`. Takes linear time and constant memory, without recursion.
struct JSONScanner {
  /// The largest depth limit: one bit of a 128-bit integer stores each open array or object.
  static let deepest = 128

  let bytes: UnsafeRawBufferPointer
  let depthLimit: Int
  var position: Int

  /// - Parameter depthLimit: How many arrays and objects may be open at once, 1...128; clamped.
  init(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = deepest, position: Int = 0) {
    self.bytes = bytes
    self.depthLimit = min(max(depthLimit, 1), Self.deepest)
    self.position = position
  }

  /// The byte at `position`, or NUL at the end. NUL is never valid where this is read, so one test covers both.
  @inline(__always)
  var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  @inline(__always)
  func fault(_ reason: JSONFault.Reason) -> JSONFault { JSONFault(reason: reason, position: position) }

  /// Checks that the bytes are one value with only white space around it.
  mutating func scanDocument() throws(JSONFault) {
    try beginDocument()
    try scanValue()
    try endDocument()
  }

  /// Moves to the first byte of the document's value.
  mutating func beginDocument() throws(JSONFault) {
    if bytes.startsWithByteOrderMark { throw fault(.byteOrderMark) }
    skipWhitespace()
    if position == bytes.count { throw fault(.empty) }
  }

  /// Checks that only white space is left.
  mutating func endDocument() throws(JSONFault) {
    skipWhitespace()
    if position != bytes.count { throw fault(.trailingBytes) }
  }

  @inline(__always)
  mutating func skipWhitespace() {
    while position < bytes.count, isJSONWhitespace(bytes[position]) { position &+= 1 }
  }

  /// Moves over one value and everything in it.
  ///
  /// - Parameter outer: How many arrays and objects are open around it.
  mutating func scanValue(within outer: Int = 0) throws(JSONFault) {
    var open = OpenContainers(count: outer)
    while true {
      skipWhitespace()
      guard let kind = JSONKind(firstByte: current) else { throw fault(.expectedValue) }
      switch kind {
      case .string: _ = try scanString()
      case .number: try scanNumber()
      case .boolean, .null: try scanLiteral()
      case .object, .array:
        if try enter(kind, &open) { continue }
      }
      if try !leave(&open, down: outer) { return }
    }
  }

  /// Opens the container at `position`. True if an element follows, false if the container is empty and closed again.
  @inline(__always)
  private mutating func enter(_ kind: JSONKind, _ open: inout OpenContainers) throws(JSONFault) -> Bool {
    if open.count >= depthLimit { throw fault(.tooDeep) }
    position &+= 1
    skipWhitespace()
    let isObject = kind == .object
    if current == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
      position &+= 1
      return false
    }
    open.push(isObject: isObject)
    if isObject { _ = try scanKey() }
    return true
  }

  /// Moves from the end of a value past the closing brackets to the next element. False when no container is left open.
  @inline(__always)
  private mutating func leave(_ open: inout OpenContainers, down outer: Int) throws(JSONFault) -> Bool {
    while open.count > outer {
      skipWhitespace()
      let byte = current
      if byte == UInt8(ascii: ",") {
        position &+= 1
        if open.innermostIsObject {
          skipWhitespace()
          _ = try scanKey()
        }
        return true
      }
      guard byte == (open.innermostIsObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
        throw fault(open.innermostIsObject ? .expectedCommaOrBrace : .expectedCommaOrBracket)
      }
      position &+= 1
      open.pop()
    }
    return false
  }

  /// Moves over a key and its colon.
  @inline(__always)
  mutating func scanKey() throws(JSONFault) -> JSONString {
    guard current == UInt8(ascii: "\"") else { throw fault(.expectedKey) }
    let key = try scanString()
    skipWhitespace()
    guard current == UInt8(ascii: ":") else { throw fault(.expectedColon) }
    position &+= 1
    return key
  }

  /// Moves over `true`, `false` or `null`, chosen by the first letter.
  private mutating func scanLiteral() throws(JSONFault) {
    let literal: StaticString =
      switch current {
      case UInt8(ascii: "t"): "true"
      case UInt8(ascii: "f"): "false"
      default: "null"
      }
    for index in 0..<literal.utf8CodeUnitCount {
      guard current == literal.utf8Start[index] else { throw fault(.expectedLiteral) }
      position &+= 1
    }
  }

  /// Moves over a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
  mutating func scanNumber() throws(JSONFault) {
    if current == UInt8(ascii: "-") { position &+= 1 }
    if current == UInt8(ascii: "0") {
      position &+= 1
      if isDigit(current) { throw fault(.leadingZero) }
    } else {
      try scanDigits()
    }
    if current == UInt8(ascii: ".") {
      position &+= 1
      try scanDigits()
    }
    if current | 0x20 == UInt8(ascii: "e") {
      position &+= 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position &+= 1 }
      try scanDigits()
    }
  }

  @inline(__always)
  private mutating func scanDigits() throws(JSONFault) {
    guard isDigit(current) else { throw fault(.expectedDigit) }
    repeat { position &+= 1 } while isDigit(current)
  }
}

@inline(__always)
func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

/// Which brackets are open, the innermost in the lowest bit.
private struct OpenContainers {
  private var objects: UInt128 = 0
  private(set) var count: Int

  init(count: Int) { self.count = count }

  @inline(__always)
  var innermostIsObject: Bool { objects & 1 == 1 }

  @inline(__always)
  mutating func push(isObject: Bool) {
    objects = objects << 1 | (isObject ? 1 : 0)
    count &+= 1
  }

  @inline(__always)
  mutating func pop() {
    objects >>= 1
    count &-= 1
  }
}
