import ArgumentParser
import Foundation
import PenstockLog

/// A place in a log, as it is typed: `beginning`, `end`, an offset (`1234`), or a time: RFC 3339
/// (`2026-11-23T15:00:00Z`) or seconds since 1970 behind an `@` (`@1431857103`).
struct Place: ExpressibleByArgument {
  let position: Position
  static let beginning = Place(.beginning)
  static let explanation =
    "`beginning`, `end`, an offset, or the append time: RFC 3339 (2026-11-23T15:00:00Z) or @seconds since 1970."

  private init(_ position: Position) { self.position = position }

  init?(argument: String) {
    switch argument {
    case "beginning": position = .beginning
    case "end": position = .end
    default:
      if let offset = UInt64(argument) {
        position = .offset(Offset(offset))
      } else if argument.hasPrefix("@"), let seconds = Self.decimal(argument.dropFirst()) {
        position = .time(Timestamp(seconds: seconds))
      } else if let date = Self.date(argument) {
        position = .time(Timestamp(seconds: date.timeIntervalSince1970))
      } else {
        return nil
      }
    }
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
