/// Why bytes are not JSON, and at which byte.
///
/// Small, because it travels through hot loops. Users see an `EventError` instead.
struct JSONFault: Error, Hashable {
  enum Reason: Hashable, CaseIterable {
    case empty
    case byteOrderMark
    case expectedValue
    case expectedKey
    case expectedColon
    case expectedCommaOrBrace
    case expectedCommaOrBracket
    case expectedLiteral
    case expectedDigit
    case leadingZero
    case trailingBytes
    case tooDeep
    case unterminatedString
    case controlCharacter
    case invalidUTF8
    case unknownEscape
    case expectedHexDigits
    case loneSurrogate
  }

  let reason: Reason
  /// The byte of the error. The end of the input is one past the last byte. For ill-formed UTF-8 it is the first byte
  /// of the sequence, for an escape its backslash.
  let position: Int
}

/// The kind of a value, judged by its first byte.
enum JSONKind: Hashable, CaseIterable {
  case object, array, string, number, boolean, null

  @inline(__always)
  init?(firstByte: UInt8) {
    switch firstByte {
    case UInt8(ascii: "\""): self = .string
    case UInt8(ascii: "{"): self = .object
    case UInt8(ascii: "["): self = .array
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): self = .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"): self = .boolean
    case UInt8(ascii: "n"): self = .null
    default: return nil
    }
  }

  /// The kind with its article, for messages.
  var noun: String {
    switch self {
    case .object: "an object"
    case .array: "an array"
    case .string: "a string"
    case .number: "a number"
    case .boolean: "a boolean"
    case .null: "null"
    }
  }
}
