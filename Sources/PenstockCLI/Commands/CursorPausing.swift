import ArgumentParser
import PenstockLog
import PenstockToolSupport

extension CursorCommand {
  struct Pause: ReportingCommand {
    static let spokenName = "cursor pause"
    static let configuration = CommandConfiguration(
      abstract: "Pauses a destination: it gets nothing new until you resume it.",
      discussion: """
        A pause is durable and survives restarts. It works whether a delivery runs or not, in any process. Attempts in \
        flight finish, and a delivered batch is committed. No new batch starts. A batch in flight keeps its bytes and \
        its id. Appends and retention continue; penstock status shows when retention would pass a paused cursor.

          penstock cursor pause archive --reason "bucket moves" --log ./events
          penstock cursor resume archive --log ./events
        """)
    @Argument(help: "The cursor.") var name: String
    @Option(help: "The reason, shown by penstock status and penstock cursor.") var reason = ""
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      _ = try CursorCommand.state(name, reader)
      if ReplayManifest.isReplay(cursor: name) {
        throw Failure(
          .bad, "isReplay", "\(name) is the cursor of a replay; a replay cannot be paused",
          advice: "stop it with Ctrl-C; penstock replay with the same --id resumes it")
      }
      let before = try reader.pause(ofCursor: name)
      try await reader.setPause(CursorPause(since: SystemWallClock().now(), reason: reason), ofCursor: name)
      let words = before == nil ? "paused" : "was already paused"
      let line = try CursorLine.line(name, logOption.log)
      let now = SystemWallClock().now()
      tell(
        line.json(now: now),
        "cursor \(name) \(words); to resume it, use penstock cursor resume \(name)\n\n"
          + CursorLine.table([line], now: now))
    }
  }

  struct Resume: ReportingCommand {
    static let spokenName = "cursor resume"
    static let configuration = CommandConfiguration(
      abstract: "Resumes a paused destination. A running delivery continues within one second.",
      discussion: "  penstock cursor resume archive --log ./events")
    @Argument(help: "The cursor.") var name: String
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      _ = try CursorCommand.state(name, reader)
      let before = try reader.pause(ofCursor: name)
      try await reader.setPause(nil, ofCursor: name)
      let line = try CursorLine.line(name, logOption.log)
      let now = SystemWallClock().now()
      tell(
        line.json(now: now),
        (before == nil ? "cursor \(name) was not paused" : "cursor \(name) resumed") + "\n\n"
          + CursorLine.table([line], now: now))
    }
  }
}
