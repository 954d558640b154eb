import ArgumentParser
import Foundation
import PenstockLog

/// A place in a log, as it is typed: `beginning`, `end`, an offset (`1234`), or a time: RFC 3339
/// (`2026-11-23T15:00:00Z`) or seconds since 1970 behind an `@` (`@1431857103`). With `event:` before it a time is one of
/// events, not of appends.
struct Place: ExpressibleByArgument {
  let position: Position
  static let beginning = Place(.beginning)
  static let explanation =
    "`beginning`, `end`, an offset, or the append time: RFC 3339 (2026-11-23T15:00:00Z) or @seconds since 1970; with `event:` before it, the "
    + "first place that may hold an event of that time."

  private init(_ position: Position) { self.position = position }

  init?(argument: String) {
    switch argument {
    case "beginning": position = .beginning
    case "end": position = .end
    default:
      if let offset = UInt64(argument) {
        position = .offset(Offset(offset))
      } else if argument.hasPrefix("event:"), let time = Self.time(argument.dropFirst("event:".count)) {
        position = .eventTime(time)
      } else if let time = Self.time(argument[...]) {
        position = .time(time)
      } else {
        return nil
      }
    }
  }

  private static func time(_ text: Substring) -> Timestamp? {
    if text.hasPrefix("@") { return decimal(text.dropFirst()).map { Timestamp(seconds: $0) } }
    return date(String(text)).map { Timestamp(seconds: $0.timeIntervalSince1970) }
  }

  private static func decimal(_ text: Substring) -> Double? {
    guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else { return nil }
    return Double(text)
  }

  private static func date(_ text: String) -> Date? {
    (try? Date(text, strategy: Date.ISO8601FormatStyle()))
      ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
  }
}
