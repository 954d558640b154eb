package import PenstockLog

/// Parses a position in a log: `beginning`, `end`, an offset (`1234`), or a time that ``PositionTime`` parses. With the
/// prefix `event:` it is an event time, otherwise an append time.
package enum PositionParameter {
  package static let explanation =
    "beginning, end, an offset, or a time that exists, such as 2026-11-23T15:00:00Z, 2026-11-23, @1431857103, -24h or"
    + " yesterday; the prefix event: makes it an event time"

  /// The position; nil when the text is not a position, or its time does not exist.
  ///
  /// - Parameter now: The reference of `-24h` and `yesterday`.
  package static func position(_ text: String, now: Timestamp = SystemWallClock().now()) -> Position? {
    switch text {
    case "beginning": return .beginning
    case "end": return .end
    default:
      if text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let offset = UInt64(text) {
        return .offset(Offset(offset))
      }
      if text.hasPrefix("event:") { return PositionTime.timestamp(text.dropFirst(6), now: now).map { .eventTime($0) } }
      return PositionTime.timestamp(text[...], now: now).map { .time($0) }
    }
  }

  package static let untimedExplanation =
    "untimed must be one of " + EventWindow.Untimed.allCases.map(\.rawValue).joined(separator: ", ")
    + "; it applies when from or to begins with event:"

  /// How to treat records without a readable event time; nil when the text is invalid. It affects only windows of event
  /// times.
  package static func untimed(_ text: String?) -> EventWindow.Untimed? {
    text.map { EventWindow.Untimed(rawValue: $0) } ?? .skip
  }
}
