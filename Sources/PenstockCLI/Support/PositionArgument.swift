import ArgumentParser
import PenstockLog
import PenstockServer

/// What becomes of events without a readable time, as it is typed.
struct UntimedWord: ExpressibleByArgument {
  let value: EventWindow.Untimed
  static let allValueStrings = EventWindow.Untimed.allCases.map(\.rawValue)

  init?(argument: String) {
    guard let value = EventWindow.Untimed(rawValue: argument) else { return nil }
    self.value = value
  }
}

/// What both `tail` and `replay` ask about events without a time.
struct UntimedOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "With `event:` places, events without a readable `ts`: `skip` them, `include` all of them, or `append-time`, "
        + "which takes the time of their append.", valueName: "what"))
  var untimed: UntimedWord?

  /// What is said of them between two places; `skip` unless said otherwise.
  func value(from: PositionArgument?, to: PositionArgument?) throws -> EventWindow.Untimed {
    let isByEventTime = [from, to].contains { $0?.position.asEventTime != nil }
    if untimed != nil, !isByEventTime {
      throw ValidationError("--untimed needs a place that begins with event:")
    }
    return untimed?.value ?? .skip
  }
}

/// A place in a log, as it is typed: what the service takes too, by the same rule.
struct PositionArgument: ExpressibleByArgument {
  let position: Position
  static let beginning = PositionArgument(.beginning)
  static let explanation =
    "`beginning`, `end`, an offset, or the append time: RFC 3339 (2026-11-23T15:00:00Z), a day in UTC (2026-11-23), "
    + "@seconds since 1970, -24h (or s, m, d, w), `now`, `today` or `yesterday`; with `event:` before it, the event's "
    + "own time."

  private init(_ position: Position) { self.position = position }

  /// What a help text names as the default.
  var defaultValueDescription: String { position == .end ? "end" : "beginning" }

  init?(argument: String) {
    guard let position = PositionParameter.position(argument) else { return nil }
    self.position = position
  }
}
