/// Renders any record as one line of NDJSON.
///
/// A record that is JSON is rendered byte for byte, unless it contains a line feed or a carriage return. In JSON these
/// occur only between tokens; then all white space between tokens is removed, and nothing else changes. JSON means the
/// same as for events: UTF-8, no half surrogate pairs, at most 128 nested arrays and objects.
///
/// A record that is not JSON becomes an object with one member: ``textMember`` with its text or, when it is not UTF-8,
/// ``base64Member``.
public enum RecordLine {
  /// The member for a record that is JSON, when records are rendered as members of objects.
  public static let member = "record"
  /// The member for a record that is not JSON, as a string.
  public static let textMember = "recordText"
  /// The member for a record that is neither JSON nor UTF-8, in base64 (RFC 4648, 4).
  public static let base64Member = "recordBase64"

  /// Appends the record as JSON without a line feed. O(record bytes).
  public static func append(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    if appendJSON(record, to: &output) { return }
    output.append(UInt8(ascii: "{"))
    appendForeign(record, to: &output)
    output.append(UInt8(ascii: "}"))
  }

  /// Appends the record as a member of an object, without a line feed: ``member``, or one of the other two when it is
  /// not JSON.
  public static func appendMember(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    let start = output.count
    appendName(member, to: &output)
    if appendJSON(record, to: &output) { return }
    output.removeSubrange(start...)
    appendForeign(record, to: &output)
  }

  /// False, with nothing appended, when the record is not JSON.
  private static func appendJSON(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) -> Bool {
    var scanner = JSONScanner(record)
    guard (try? scanner.scanDocument()) != nil else { return false }
    let isOneLine = record.firstLineFeed(from: 0) == nil && !record.contains(UInt8(ascii: "\r"))
    if isOneLine { output.append(contentsOf: record) } else { appendCompact(record, to: &output) }
    return true
  }

  private static func appendCompact(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    var (isInString, isEscaped) = (false, false)
    for byte in record {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
      } else if isJSONWhitespace(byte) {
        continue
      } else if byte == UInt8(ascii: "\"") {
        isInString = true
      }
      output.append(byte)
    }
  }

  private static func appendForeign(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    guard String(validating: record, as: UTF8.self) != nil else {
      appendName(base64Member, to: &output)
      output.append(UInt8(ascii: "\""))
      appendBase64(record, to: &output)
      return output.append(UInt8(ascii: "\""))
    }
    appendName(textMember, to: &output)
    output.append(UInt8(ascii: "\""))
    for byte in record {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), byte]
      case 0x00..<0x20: output += Array("\\u00".utf8) + [hexDigit(byte >> 4), hexDigit(byte & 15)]
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }

  private static func appendName(_ name: String, to output: inout [UInt8]) {
    output += Array("\"\(name)\":".utf8)
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

  private static let base64Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private static func appendBase64(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    for start in stride(from: 0, to: record.count, by: 3) {
      let count = min(3, record.count - start)
      let word = (0..<3).reduce(0) { $0 << 8 | ($1 < count ? Int(record[start + $1]) : 0) }
      for place in 0..<4 {
        let isPadding = place > count
        output.append(isPadding ? UInt8(ascii: "=") : base64Digits[word >> (18 - 6 * place) & 63])
      }
    }
  }
}
