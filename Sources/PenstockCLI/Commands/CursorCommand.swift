import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockToolSupport

struct CursorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cursor",
    abstract: "Lists, shows, pauses, moves, deletes and rebuilds cursors.",
    discussion: """
      A cursor is a destination's durable place in the log. Stop the destination before moving or deleting its cursor.

        penstock cursor list --log ./events
        penstock cursor show archive --log ./events --json
        penstock cursor seek archive --to 2026-11-23T00:00:00Z --log ./events
        penstock cursor pause archive --reason "bucket moves" --log ./events
        penstock cursor resume archive --log ./events
        penstock cursor acknowledge archive --log ./events
        penstock cursor delete archive --log ./events --yes
        penstock cursor rebuild archive --config penstock.yaml
      """,
    subcommands: [
      List.self, Show.self, Seek.self, Pause.self, Resume.self, Acknowledge.self, Delete.self, Rebuild.self,
    ])

  struct List: ReportingCommand {
    static let spokenName = "cursor list"
    static let configuration = CommandConfiguration(
      abstract: "Lists the cursors of a log.", discussion: "  penstock cursor list --log ./events")
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let (cursors, unreadable) = try CursorLine.all(LogSurvey(LogInspector(logOption.log)))
      let now = SystemWallClock().now()
      tell(
        .object([
          ("cursors", .array(cursors.map { $0.json(now: now) })), ("unreadable", .array(unreadable.map(\.json))),
        ]),
        ([CursorLine.table(cursors, now: now)] + unreadable.map(\.words)).joined(separator: "\n"))
      if !unreadable.isEmpty { try end(.bad) }
    }
  }

  struct Show: ReportingCommand {
    static let spokenName = "cursor show"
    static let configuration = CommandConfiguration(
      abstract: "Shows where one cursor stands.", discussion: "  penstock cursor show archive --log ./events")
    @Argument(help: "The cursor.") var name: String
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      _ = try CursorCommand.state(name, try await LogReader.open(at: logOption.log))
      let cursor = try CursorLine.line(name, logOption.log)
      let now = SystemWallClock().now()
      tell(cursor.json(now: now), CursorLine.table([cursor], now: now))
    }
  }

  struct Seek: ReportingCommand {
    static let spokenName = "cursor seek"
    static let configuration = CommandConfiguration(
      abstract:
        "Moves a cursor, also back: records behind it are delivered again, records before it are not delivered.",
      discussion: """
        Without --yes it says what would happen. A cursor with a batch in flight is not moved: let its delivery finish \
        first, for its destination may hold the batch already. With `event:` it goes to the first block that may hold \
        an event of that time or later; what follows may be of any time.

          penstock cursor seek archive --to beginning --log ./events
          penstock cursor seek archive --to 120000 --log ./events --yes
        """)
    @Argument(help: "The cursor.") var name: String
    @Option(parsing: .unconditional, help: ArgumentHelp("Where to: " + PositionArgument.explanation)) var to:
      PositionArgument
    @Flag(help: "Do it.") var yes = false
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      let state = try CursorCommand.state(name, reader)
      let target = try reader.offset(of: to.position)
      guard target <= reader.end else {
        throw Failure(.bad, "outOfRange", "the log ends at offset \(reader.end); \(target) is behind it")
      }
      try CursorCommand.refusePendingBatch(name, state)
      let effect =
        target < state.committed
        ? "\(HumanFormat.count(state.committed - target, "record")) will be delivered again"
        : "\(HumanFormat.count(target - state.committed, "record")) will not be delivered"
      try CursorCommand.ask(yes, "cursor \(name) would move from \(state.committed) to \(target): \(effect)")
      let cursor = try await reader.cursor(named: name)
      try await cursor.seek(to: .offset(target))
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "cursor \(name) moved from \(state.committed) to \(target): \(effect)")
    }
  }

  struct Delete: ReportingCommand {
    static let spokenName = "cursor delete"
    static let configuration = CommandConfiguration(
      abstract: "Deletes a cursor. A destination of its name begins again at the log's beginning.",
      discussion: "  penstock cursor delete archive --log ./events --yes")
    @Argument(help: "The cursor.") var name: String
    @Flag(help: "Do it.") var yes = false
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      try CursorCommand.ask(yes, "cursor \(name) \(try standing(reader)) would be deleted")
      let (fileSystem, paths) = (POSIXFileSystem(), LogPaths(logOption.log))
      // Held until it is gone, so that nobody delivers with it meanwhile.
      guard let handle = try NamedLock.open(fileSystem, paths.cursor(name)) else {
        throw Failure(.bad, "cursorHeld", "another process delivers with cursor \(name)", advice: "stop it first")
      }
      try withExtendedLifetime(OpenFile(fileSystem, handle)) {
        try fileSystem.remove(paths.cursor(name))
        // What was attempted for the cursor that is gone says nothing about a new one of its name.
        try fileSystem.removeIfPresent(AttemptLog.path(inLog: logOption.log, cursor: name))
        // Also makes the rest durable: a pause was meant for the cursor that is gone.
        try CursorStore.setPause(nil, fileSystem, paths, name: name)
      }
      tell(.object([("deleted", .string(name))]), "cursor \(name) deleted")
    }

    /// Where it stands. One that cannot be read can be deleted all the same: there is no other way to be rid of it.
    private func standing(_ reader: LogReader) throws -> String {
      do {
        let state = try CursorCommand.state(name, reader)
        return "at offset \(state.committed)"
          + (state.inFlight.isEmpty ? "" : ", with a batch in flight that its destination may hold already,")
      } catch let error as LogError where error.code == .damaged || error.code == .io {
        return "(it cannot be read: nobody knows where it stood)"
      }
    }
  }

  static func state(_ name: String, _ reader: LogReader) throws -> CursorState {
    try CursorStore.validate(name)
    if let found = try reader.cursorState(named: name) { return found }
    throw try unknown(name, reader)
  }

  static func unknown(_ name: String, _ reader: LogReader) throws -> Failure {
    let names = try reader.cursorNames()
    let near = Spelling.nearest(to: name, among: names).map { "did you mean \($0)?" }
    return Failure(
      .bad, "unknownCursor", "the log has no cursor \(name)",
      advice: near ?? (names.isEmpty ? "it has none at all" : "it has \(names.joined(separator: ", "))"))
  }

  static func refusePendingBatch(_ name: String, _ state: CursorState) throws {
    guard let open = state.inFlight.first?.intent else { return }
    throw Failure(
      .bad, "illegalMove", "cursor \(name) has a batch in flight (records \(open.first) ..< \(open.end))",
      advice: "finish it first (penstock deliver --until-caught-up); its destination may hold it already")
  }

  static func ask(_ yes: Bool, _ words: String) throws {
    if !yes { throw Failure(.usage, "needsYes", words, advice: "add --yes to do it") }
  }
}
