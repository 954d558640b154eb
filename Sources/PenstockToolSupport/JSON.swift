import Foundation
import PenstockServer

/// A JSON value that keeps the order of its members, for output.
package enum JSON {
  case object([(String, JSON)])
  case array([JSON])
  case string(String)
  /// Written as it is: a number, or JSON made elsewhere.
  case raw(String)
  case bool(Bool)
  case null

  package static func number(_ value: some BinaryInteger) -> JSON { .raw(String(value)) }

  /// Three decimals; what is not a number is null, for JSON has no word for it.
  package static func number(_ value: Double) -> JSON {
    value.isFinite ? .raw(String(format: "%.3f", locale: nil, value)) : .null
  }

  package static func optional(_ value: (some BinaryInteger)?) -> JSON { value.map { .number($0) } ?? .null }

  package static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

  /// A value that can encode itself.
  package static func encoding(_ value: some Encodable) -> JSON {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return .null }
    return .raw(String(decoding: data, as: UTF8.self))
  }

  /// On one line.
  package var text: String {
    switch self {
    case .object(let members): "{" + members.map { Self.quoted($0) + ":" + $1.text }.joined(separator: ",") + "}"
    case .array(let values): "[" + values.map(\.text).joined(separator: ",") + "]"
    case .string(let value): Self.quoted(value)
    case .raw(let text): text
    case .bool(let value): value ? "true" : "false"
    case .null: "null"
    }
  }

  /// As the service quotes.
  private static func quoted(_ text: String) -> String { ServiceJSON.string(text).text }
}
