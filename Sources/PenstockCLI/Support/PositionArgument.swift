import ArgumentParser
import PenstockLog
import PenstockServer

/// The value of `--untimed`.
struct UntimedArgument: ExpressibleByArgument {
  let value: EventWindow.Untimed
  static let allValueStrings = EventWindow.Untimed.allCases.map(\.rawValue)

  init?(argument: String) {
    guard let value = EventWindow.Untimed(rawValue: argument) else { return nil }
    self.value = value
  }
}

/// `--untimed`, shared by `tail`, `export` and `replay`.
struct UntimedOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "With `event:` positions, for events without a readable `ts`: `skip` them, `include` all of them, or use their "
        + "`append-time`.", valueName: "rule"))
  var untimed: UntimedArgument?

  /// The rule for a window; `skip` by default. Throws when neither position is an event time.
  func value(from: PositionArgument?, to: PositionArgument?) throws -> EventWindow.Untimed {
    let isByEventTime = [from, to].contains { $0?.position.asEventTime != nil }
    if untimed != nil, !isByEventTime {
      throw ValidationError("--untimed needs a position that starts with event:")
    }
    return untimed?.value ?? .skip
  }
}

/// A position in a log, in the syntax that the HTTP API accepts, too.
struct PositionArgument: ExpressibleByArgument {
  let position: Position
  static let beginning = PositionArgument(.beginning)
  static let explanation =
    "`beginning`, `end`, an offset, or an append time: RFC 3339 (2026-11-23T15:00:00Z), a day in UTC (2026-11-23), "
    + "@seconds since 1970, -24h (or s, m, d, w), `now`, `today` or `yesterday`. With `event:` before it, an event "
    + "time."

  private init(_ position: Position) { self.position = position }

  /// The default in the help text.
  var defaultValueDescription: String { position == .end ? "end" : "beginning" }

  init?(argument: String) {
    guard let position = PositionParameter.position(argument) else { return nil }
    self.position = position
  }
}
