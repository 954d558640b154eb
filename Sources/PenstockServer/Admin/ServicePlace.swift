import Foundation
package import PenstockLog

/// A place in a log, as a query or a person says it: `beginning`, `end`, an offset (`1234`), or a time: RFC 3339
/// (`2026-11-23T15:00:00Z`) or seconds since 1970 behind an `@` (`@1431857103`). With `event:` before it a time is one of events, not
/// of appends.
package enum ServicePlace {
  package static let explanation = "beginning, end, an offset, or a time such as 2026-11-23T15:00:00Z or @1431857103"

  /// Nil for what names no place.
  package static func position(_ text: String) -> Position? {
    switch text {
    case "beginning": return .beginning
    case "end": return .end
    default:
      if let offset = UInt64(text), !text.hasPrefix("+") { return .offset(Offset(offset)) }
      if text.hasPrefix("event:") { return time(text.dropFirst(6)).map { .eventTime($0) } }
      return time(text[...]).map { .time($0) }
    }
  }

  private static func time(_ text: Substring) -> Timestamp? {
    guard text.utf8.count <= 40 else { return nil }
    if text.hasPrefix("@") { return decimal(text.dropFirst()).map { Timestamp(seconds: $0) } }
    let date =
      (try? Date(String(text), strategy: Date.ISO8601FormatStyle()))
      ?? (try? Date(String(text), strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    return date.map { Timestamp(seconds: $0.timeIntervalSince1970) }
  }

  private static func decimal(_ text: Substring) -> Double? {
    guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else { return nil }
    return Double(text)
  }
}
