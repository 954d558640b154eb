import ArgumentParser
import PenstockLog
import PenstockServer

/// A place in a log, as it is typed: what the service takes too, by the same rule.
struct Place: ExpressibleByArgument {
  let position: Position
  static let beginning = Place(.beginning)
  static let explanation =
    "`beginning`, `end`, an offset, or the append time: RFC 3339 (2026-11-23T15:00:00Z) or @seconds since 1970; with `event:` before it, the "
    + "first place that may hold an event of that time."

  private init(_ position: Position) { self.position = position }

  init?(argument: String) {
    guard let position = ServicePlace.position(argument) else { return nil }
    self.position = position
  }
}
