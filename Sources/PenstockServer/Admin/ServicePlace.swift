import Foundation
import PenstockLog

/// A place in a log, as a query says it: `beginning`, `end`, an offset, or a time (RFC 3339), with `event:` before it one of
/// events.
enum ServicePlace {
  static let explanation = "beginning, end, an offset, or a time such as 2026-11-23T15:00:00Z"

  static func position(_ text: String) -> Position? {
    switch text {
    case "beginning": return .beginning
    case "end": return .end
    default:
      if let offset = UInt64(text), !text.hasPrefix("+") { return .offset(Offset(offset)) }
      if text.hasPrefix("event:") { return time(String(text.dropFirst(6))).map { .eventTime($0) } }
      return time(text).map { .time($0) }
    }
  }

  private static func time(_ text: String) -> Timestamp? {
    guard text.utf8.count <= 40 else { return nil }
    let date =
      (try? Date(text, strategy: Date.ISO8601FormatStyle()))
      ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    return date.map { Timestamp(seconds: $0.timeIntervalSince1970) }
  }
}
