import Foundation
package import PenstockLog

/// A JSON value that keeps the order of its members.
package enum ServiceJSON: Sendable {
  case object([(String, ServiceJSON)])
  case array([ServiceJSON])
  case string(String)
  /// Written unchanged: a number, or JSON that was encoded elsewhere.
  case raw(String)
  case bool(Bool)
  case null

  package static func number(_ value: some BinaryInteger) -> ServiceJSON { .raw(String(value)) }

  /// Null for infinities and NaN, which JSON cannot express.
  package static func number(_ value: Double) -> ServiceJSON {
    guard value.isFinite else { return .null }
    return .raw(value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : "\(value)")
  }

  package static func optional(_ value: (some BinaryInteger)?) -> ServiceJSON { value.map { .number($0) } ?? .null }
  package static func optional(_ value: Double?) -> ServiceJSON { value.map { .number($0) } ?? .null }
  package static func optional(_ value: String?) -> ServiceJSON { value.map { .string($0) } ?? .null }

  /// The JSON text, on one line.
  package var text: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .object(let members):
      text += "{"
      for (index, (name, value)) in members.enumerated() {
        if index > 0 { text += "," }
        Self.quote(name, to: &text)
        text += ":"
        value.write(to: &text)
      }
      text += "}"
    case .array(let values):
      text += "["
      for (index, value) in values.enumerated() {
        if index > 0 { text += "," }
        value.write(to: &text)
      }
      text += "]"
    case .string(let value): Self.quote(value, to: &text)
    case .raw(let value): text += value
    case .bool(let value): text += value ? "true" : "false"
    case .null: text += "null"
    }
  }

  private static func quote(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

/// Formats the times in answers and log lines.
package enum ServiceTime {
  /// ISO 8601 in UTC with milliseconds, such as `2026-11-23T21:30:00.000Z`.
  package static func text(_ time: Timestamp) -> String {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return Date(timeIntervalSince1970: time.seconds).formatted(style)
  }
}
