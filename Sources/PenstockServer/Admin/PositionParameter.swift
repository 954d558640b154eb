package import PenstockLog

/// A place in a log, as a query or a person says it: `beginning`, `end`, an offset (`1234`), or a time as ``PositionTime``
/// reads it. With `event:` before it a time is one of events, not of appends.
package enum PositionParameter {
  package static let explanation =
    "beginning, end, an offset, or a time that exists, such as 2026-11-23T15:00:00Z, 2026-11-23, @1431857103, -24h or"
    + " yesterday, with event: before it for a time of events"

  /// Nil for what names no place, and for a time that does not exist.
  ///
  /// - Parameter now: What `-24h` and `yesterday` count from.
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
    "untimed is " + EventWindow.Untimed.allCases.map(\.rawValue).joined(separator: ", ")
    + "; it counts where from or to begins with event:"

  /// What a query says of records without a readable event time; nil where it is no such word. Other windows hold every
  /// record, so there it changes nothing.
  package static func untimed(_ text: String?) -> EventWindow.Untimed? {
    text.map { EventWindow.Untimed(rawValue: $0) } ?? .skip
  }
}
