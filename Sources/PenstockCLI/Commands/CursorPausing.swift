import ArgumentParser
import PenstockLog
import PenstockToolSupport

extension CursorCommand {
  struct Pause: ReportingCommand {
    static let spokenName = "cursor pause"
    static let configuration = CommandConfiguration(
      abstract: "Pauses a destination: nothing new is sent to it until it is resumed.",
      discussion: """
        Durable, over restarts, whether a delivery runs or not, in this process or another. What is under way is answered and, if \
        it was delivered, committed; nothing else is begun. A batch that is open keeps its bytes and its id. The log goes on, and \
        so does retention: penstock status tells when it would pass a paused cursor.

          penstock cursor pause archive --reason "bucket moves" --log ./events
          penstock cursor resume archive --log ./events
        """)
    @Argument(help: "The cursor.") var name: String
    @Option(help: "Why, for whoever looks later.") var reason = ""
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      _ = try CursorCommand.state(name, reader)
      if ReplayManifest.isReplay(cursor: name) {
        throw Failure(
          .bad, "isReplay", "\(name) is a replay's cursor; a replay is stopped, not paused",
          advice: "Ctrl-C stops it; penstock replay --resume goes on with it")
      }
      let before = try reader.pause(ofCursor: name)
      try await reader.setPause(CursorPause(since: SystemWallClock().now(), reason: reason), ofCursor: name)
      let words = before == nil ? "paused" : "was paused already"
      let line = try CursorLine.line(name, logOption.log)
      let now = SystemWallClock().now()
      tell(
        line.json(now: now),
        "cursor \(name) \(words); penstock cursor resume \(name) lets it go on\n\n"
          + CursorLine.table([line], now: now))
    }
  }

  struct Resume: ReportingCommand {
    static let spokenName = "cursor resume"
    static let configuration = CommandConfiguration(
      abstract: "Lets a paused destination go on: where a delivery runs, within a second.",
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
