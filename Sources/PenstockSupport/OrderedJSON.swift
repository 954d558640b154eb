/// A JSON value that keeps the order of its members, for the output of the command line and the service.
package enum OrderedJSON: Sendable {
  case object([(String, OrderedJSON)])
  case array([OrderedJSON])
  case string(String)
  /// Written unchanged: a number, or JSON that was encoded elsewhere.
  case raw(String)
  case bool(Bool)
  case null

  package static func number(_ value: some BinaryInteger) -> OrderedJSON { .raw(String(value)) }

  /// The shortest text that gives the same value, without a fraction for a whole number. Null for infinities and NaN,
  /// which JSON cannot express.
  package static func number(_ value: Double) -> OrderedJSON {
    guard value.isFinite else { return .null }
    return .raw(value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : "\(value)")
  }

  package static func optional(_ value: (some BinaryInteger)?) -> OrderedJSON { value.map { .number($0) } ?? .null }
  package static func optional(_ value: Double?) -> OrderedJSON { value.map { .number($0) } ?? .null }
  package static func optional(_ value: String?) -> OrderedJSON { value.map { .string($0) } ?? .null }

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
