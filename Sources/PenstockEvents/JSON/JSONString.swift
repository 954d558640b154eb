/// A scanned string: its bytes between the quotes, as sent.
struct JSONString {
  let content: Range<Int>
  let hasEscapes: Bool

  /// Whether the string, unescaped, is `text`. Allocates nothing.
  @inline(__always)
  func equals(_ text: StaticString, in bytes: UnsafeRawBufferPointer) -> Bool {
    let length = text.utf8CodeUnitCount
    guard hasEscapes else { return content.count == length && bytes.matches(text, at: content.lowerBound) }
    return unescapedEquals(text, in: bytes)
  }

  @inline(never)
  private func unescapedEquals(_ text: StaticString, in bytes: UnsafeRawBufferPointer) -> Bool {
    let length = text.utf8CodeUnitCount
    var position = content.lowerBound
    for index in 0..<length {
      guard position < content.upperBound, let unit = unescapedASCII(at: &position, in: bytes),
        unit == text.utf8Start[index]
      else { return false }
    }
    return position == content.upperBound
  }

  /// The byte or escape at `position` as one byte; moves past it. Nil if the escape is not ASCII. The string was
  /// scanned, so its escapes are well formed.
  private func unescapedASCII(at position: inout Int, in bytes: UnsafeRawBufferPointer) -> UInt8? {
    let byte = bytes[position]
    guard byte == UInt8(ascii: "\\") else {
      position += 1
      return byte
    }
    let letter = bytes[position + 1]
    if letter == UInt8(ascii: "u") {
      guard let unit = hexUnit(at: position + 2, in: bytes), unit < 0x80 else { return nil }
      position += 6
      return UInt8(unit)
    }
    position += 2
    return switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: letter
    }
  }
}

extension JSONString {
  /// Calls `body` with the unescaped bytes of the string, which are well-formed UTF-8. Allocates only when there are
  /// escapes.
  @inline(__always)
  func withUnescaped<Result>(in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    hasEscapes ? unescaped(in: bytes).withUnsafeBytes(body) : body(bytes.part(content))
  }

  /// The string was scanned, so its escapes are well formed and surrogates come in pairs.
  @inline(never)
  private func unescaped(in bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(content.count)
    var position = content.lowerBound
    while position < content.upperBound {
      var next = position
      if let byte = unescapedASCII(at: &next, in: bytes) {
        result.append(byte)
        position = next
      } else {
        var unit = UInt32(hexUnit(at: position + 2, in: bytes) ?? 0xFFFD)
        position += 6
        if 0xD800...0xDBFF ~= unit {
          let low = UInt32(hexUnit(at: position + 2, in: bytes) ?? 0xDC00)
          unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
          position += 6
        }
        result.append(contentsOf: String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8)
      }
    }
    return result
  }
}

/// The UTF-16 code unit of four hexadecimal digits; nil if there are no such digits.
func hexUnit(at position: Int, in bytes: UnsafeRawBufferPointer) -> UInt16? {
  guard position + 4 <= bytes.count else { return nil }
  var unit: UInt16 = 0
  for index in position..<position + 4 {
    let byte = bytes[index]
    let lower = byte | 0x20
    if isDigit(byte) {
      unit = unit << 4 | UInt16(byte - UInt8(ascii: "0"))
    } else if lower >= UInt8(ascii: "a"), lower <= UInt8(ascii: "f") {
      unit = unit << 4 | UInt16(lower - UInt8(ascii: "a") + 10)
    } else {
      return nil
    }
  }
  return unit
}

extension JSONScanner {
  /// Moves over the string whose opening quote is at `position`.
  @inline(__always)
  mutating func scanString() throws(JSONFault) -> JSONString {
    // Fast path: most strings end within sixteen bytes and have no escapes.
    let start = position &+ 1
    if start &+ 16 <= bytes.count {
      let end = start &+ bytes.plainBytes(at: start)
      if end < start &+ 16, bytes[end] == UInt8(ascii: "\"") {
        position = end &+ 1
        return JSONString(content: start..<end, hasEscapes: false)
      }
    }
    return try scanAnyString()
  }

  /// The general path, for every string.
  @inline(never)
  private mutating func scanAnyString() throws(JSONFault) -> JSONString {
    let start = position &+ 1
    var hasEscapes = false
    position = start
    while true {
      skipPlainBytes()
      let byte = current
      switch byte {
      case UInt8(ascii: "\""):
        position &+= 1
        return JSONString(content: start..<position &- 1, hasEscapes: hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        try scanEscape()
      case 0x80...:
        try scanMultibyte()
      default:
        throw fault(position == bytes.count ? .unterminatedString : .controlCharacter)
      }
    }
  }

  /// Moves to the next special byte of a string: quote, backslash, control character, non-ASCII.
  @inline(__always)
  private mutating func skipPlainBytes() {
    var at = position
    defer { position = at }
    while at &+ 16 <= bytes.count {
      let plain = bytes.plainBytes(at: at)
      at &+= plain
      if plain < 16 { return }
    }
    while at < bytes.count {
      let byte = bytes[at]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 || byte >= 0x80 { return }
      at &+= 1
    }
  }

  /// Moves over one escape, or over both escapes of a surrogate pair.
  private mutating func scanEscape() throws(JSONFault) {
    guard position + 1 < bytes.count else {
      position = bytes.count
      throw fault(.unterminatedString)
    }
    switch bytes[position + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 2
    case UInt8(ascii: "u"):
      try scanUnicodeEscape()
    default:
      throw fault(.unknownEscape)
    }
  }

  private mutating func scanUnicodeEscape() throws(JSONFault) {
    guard let unit = hexUnit(at: position + 2, in: bytes) else { throw fault(.expectedHexDigits) }
    switch unit {
    case 0xD800...0xDBFF:
      let second = position + 6
      guard second + 1 < bytes.count, bytes[second] == UInt8(ascii: "\\"), bytes[second + 1] == UInt8(ascii: "u"),
        let low = hexUnit(at: second + 2, in: bytes), 0xDC00...0xDFFF ~= low
      else { throw fault(.loneSurrogate) }
      position += 12
    case 0xDC00...0xDFFF:
      throw fault(.loneSurrogate)
    default:
      position += 6
    }
  }

  /// Moves over a run of well-formed UTF-8 sequences of two to four bytes (The Unicode Standard, table 3-7).
  private mutating func scanMultibyte() throws(JSONFault) {
    repeat {
      let lead = bytes[position]
      let length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      guard 0xC2...0xF4 ~= lead, position &+ length <= bytes.count else { throw fault(.invalidUTF8) }
      let second = bytes[position &+ 1]
      // The second byte alone decides about overlong forms, surrogates and the end of the code space.
      let lowest: UInt8 = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80
      let highest: UInt8 = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF
      guard second >= lowest, second <= highest,
        length < 3 || bytes[position &+ 2] & 0xC0 == 0x80,
        length < 4 || bytes[position &+ 3] & 0xC0 == 0x80
      else { throw fault(.invalidUTF8) }
      position &+= length
    } while current >= 0x80
  }
}
