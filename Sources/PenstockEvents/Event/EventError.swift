/// Why a record is not a usage event, or why a body cannot be split into records, and at which byte.
///
/// The description reads like `record 17, byte 242 (field "ts"): expected a number of epoch seconds, found a string`.
/// It contains names of known fields, kinds of values, and at most one byte of the input. It never contains a value, so
/// no user data gets into logs through an error.
public struct EventError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, for programs. The raw values are stable.
  public enum Code: String, Sendable, CaseIterable {
    /// Nothing but white space.
    case empty
    /// A UTF-8 byte order mark comes first (RFC 8259, section 8.1, forbids sending one).
    case byteOrderMark = "byte_order_mark"
    /// A byte that the JSON grammar does not allow at its position.
    case unexpectedByte = "unexpected_byte"
    /// The JSON text stops in the middle.
    case unexpectedEnd = "unexpected_end"
    /// Something follows the JSON text.
    case trailingBytes = "trailing_bytes"
    /// More nested arrays and objects than the limit allows.
    case tooDeep = "too_deep"
    /// A string is not well-formed UTF-8.
    case invalidUTF8 = "invalid_utf8"
    /// A string holds a raw control character, which must be escaped.
    case controlCharacter = "control_character"
    /// A backslash sequence that JSON does not have.
    case invalidEscape = "invalid_escape"
    /// An escaped surrogate without its other half.
    case loneSurrogate = "lone_surrogate"
    /// A number against the grammar, such as `01` or `1.`.
    case invalidNumber = "invalid_number"
    /// The record is JSON of another kind.
    case notAnObject = "not_an_object"
    /// The body is JSON of another kind.
    case notAnArray = "not_an_array"
    /// A known field has a value of the wrong kind.
    case wrongType = "wrong_type"
    /// A known field has a value of the right kind that it may not have.
    case wrongValue = "wrong_value"
    /// A known field occurs twice.
    case duplicateField = "duplicate_field"
    /// The record or line has more bytes than the limit.
    case recordTooLong = "record_too_long"
    /// The body has more bytes than the limit.
    case bodyTooLong = "body_too_long"
    /// The body has more records than the limit.
    case tooManyRecords = "too_many_records"
    /// The event has no `app_id`, or another than the one that this key may send.
    case foreignApp = "foreign_app"
  }

  /// What is wrong, for programs.
  public let code: Code
  /// What was expected and what was found, without the position.
  public let message: String
  /// The byte of the error, counted from 0 at the start of the record, or of the body if `record` is nil.
  public let position: Int
  /// The known top-level field whose key or value contains the error.
  public let field: EventField?
  /// The record's number in its body, counted from 0 without blank lines. Nil until a caller sets it with
  /// ``inRecord(_:startingAt:)``.
  public private(set) var record: Int?
  /// The byte of the body at which the record starts, counted from 0.
  public private(set) var recordPosition: Int?

  /// An error at a byte, counted from 0; its record is not known yet.
  public init(_ code: Code, _ message: String, position: Int, field: EventField? = nil) {
    self.code = code
    self.message = message
    self.position = position
    self.field = field
  }

  /// The same error, with the record's number.
  ///
  /// - Parameters:
  ///   - record: the record's number in its body, counted from 0.
  ///   - recordPosition: the byte of the body at which it starts, if known.
  public func inRecord(_ record: Int, startingAt recordPosition: Int? = nil) -> EventError {
    var error = self
    error.record = record
    error.recordPosition = recordPosition
    return error
  }

  /// The byte of the error, counted from 0 at the start of the body; nil when the record's start is not known.
  public var bodyPosition: Int? {
    guard record != nil else { return position }
    return recordPosition.map { $0 + position }
  }

  /// The same error for bytes that begin `count` bytes later.
  func counted(from count: Int) -> EventError {
    var error = EventError(code, message, position: position - count, field: field)
    error.record = record
    error.recordPosition = recordPosition
    return error
  }

  public var description: String {
    let place = record.map { "record \($0), byte \(position)" } ?? "byte \(position)"
    let named = field.map { " (field \"\($0.rawValue)\")" } ?? ""
    return "\(place)\(named): \(message)"
  }
}

extension EventError {
  /// Describes a fault in words. `bytes` is the scanned input; `origin` is the position in it that counts as byte 0.
  init(_ fault: JSONFault, in bytes: UnsafeRawBufferPointer, origin: Int = 0, field: EventField? = nil) {
    let found = Self.found(at: fault.position, in: bytes)
    let (code, message) = Self.words(for: fault.reason, found: found, atEnd: fault.position >= bytes.count)
    self.init(code, message, position: fault.position - origin, field: field)
  }

  private static func words(for reason: JSONFault.Reason, found: String, atEnd: Bool) -> (Code, String) {
    func expected(_ what: String, else code: Code = .unexpectedByte) -> (Code, String) {
      (atEnd ? .unexpectedEnd : code, "expected \(what), found \(found)")
    }
    return switch reason {
    case .empty: (.empty, "expected JSON, found nothing")
    case .byteOrderMark: (.byteOrderMark, "expected JSON, found a UTF-8 byte order mark (EF BB BF)")
    case .expectedValue: expected("a value")
    case .expectedKey: expected("a key in double quotes")
    case .expectedColon: expected("\":\" after the key")
    case .expectedCommaOrBrace: expected("\",\" or \"}\"")
    case .expectedCommaOrBracket: expected("\",\" or \"]\"")
    case .expectedLiteral: expected("the rest of true, false or null")
    case .expectedDigit: expected("a digit", else: .invalidNumber)
    case .leadingZero: (.invalidNumber, "expected a number without leading zeros")
    case .trailingBytes: (.trailingBytes, "expected the end, found \(found)")
    case .tooDeep: (.tooDeep, "arrays and objects are nested too deep")
    case .unterminatedString: (.unexpectedEnd, "expected the end of a string, found the end of the input")
    case .controlCharacter: (.controlCharacter, "expected control characters to be escaped, found \(found)")
    case .invalidUTF8: (.invalidUTF8, "expected well-formed UTF-8, found \(found)")
    case .unknownEscape: (.invalidEscape, "expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u after a backslash")
    case .expectedHexDigits: (.invalidEscape, "expected four hexadecimal digits after \\u")
    case .loneSurrogate: (.loneSurrogate, "expected a surrogate pair, found half of one")
    }
  }

  /// The byte at `position` as printable text.
  static func found(at position: Int, in bytes: UnsafeRawBufferPointer) -> String {
    guard position < bytes.count else { return "the end of the input" }
    let byte = bytes[position]
    if 0x21...0x7E ~= byte { return "\"\(Unicode.Scalar(byte))\"" }
    let digits = String(byte, radix: 16, uppercase: true)
    return "byte 0x\(digits.count == 1 ? "0" : "")\(digits)"
  }
}
