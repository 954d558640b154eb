import ArgumentParser
import PenstockDelivery
import PenstockLog
import PenstockSupport
import PenstockToolSupport

struct CursorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cursor",
    abstract: "Lists, shows, pauses, moves, deletes and rebuilds cursors.",
    discussion: """
      A cursor is a destination's durable position in the log. Stop the destination before you move or delete its \
      cursor.

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
      abstract: "Shows the position and lag of one cursor.",
      discussion: "  penstock cursor show archive --log ./events")
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
        "Moves a cursor. Records from the new position on are delivered (again); earlier ones are skipped.",
      discussion: """
        Without --yes, prints what would happen. A cursor with a batch in flight is not moved, because the \
        destination may already have the batch: finish its delivery first, or give it up with --give-up-batch. With \
        `event:`, the cursor moves to the first block that may contain an event of that time or later; the records \
        after it may have any time.

          penstock cursor seek archive --to beginning --log ./events
          penstock cursor seek archive --to 120000 --log ./events --yes
        """)
    @Argument(help: "The cursor.") var name: String
    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("The new position: " + PositionArgument.explanation, valueName: "position"))
    var to: PositionArgument
    @Flag(help: "Give up the batch in flight; the destination may have it or not.") var giveUpBatch = false
    @OptionGroup var confirmation: ConfirmOption
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      let state = try CursorCommand.state(name, reader)
      let target = try reader.offset(of: to.position)
      guard target <= reader.end else {
        throw Failure(.bad, "outOfRange", "offset \(target) is past the end of the log (\(reader.end))")
      }
      let batch = state.inFlight.first.map { ($0.intent.first, state.inFlight.last?.intent.end ?? $0.intent.end) }
      if !giveUpBatch { try CursorCommand.refusePendingBatch(name, state) }
      let effect =
        (target < state.committed
          ? "\(HumanFormat.count(state.committed - target, "record")) will be delivered again"
          : "\(HumanFormat.count(target - state.committed, "record")) will be skipped")
        + (batch.map { "; the batch in flight \($0.0) ..< \($0.1) is given up, and the destination may have it" } ?? "")
      try confirmation.require("cursor \(name) would move from \(state.committed) to \(target): \(effect)")
      let cursor = try await reader.cursor(named: name)
      try await cursor.seek(to: .offset(target), givingUpBatches: giveUpBatch)
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "cursor \(name) moved from \(state.committed) to \(target): \(effect)")
    }
  }

  struct Delete: ReportingCommand {
    static let spokenName = "cursor delete"
    static let configuration = CommandConfiguration(
      abstract: "Deletes a cursor. A destination with its name then starts at the beginning of the log.",
      discussion: "  penstock cursor delete archive --log ./events --yes")
    @Argument(help: "The cursor.") var name: String
    @OptionGroup var confirmation: ConfirmOption
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      try confirmation.require("cursor \(name) \(try position(reader)) would be deleted")
      try delete()
      tell(.object([("deleted", .string(name))]), "cursor \(name) deleted")
    }

    private func delete() throws {
      // A new cursor with this name must not show the attempts of the old one.
      let attempts = AttemptLog.path(inLog: logOption.log, cursor: name)
      do throws(LogError) {
        try CursorStore.delete(POSIXFileSystem(), LogPaths(logOption.log), name: name, alsoRemoving: attempts)
      } catch {
        guard error.code == .cursorHeld else { throw error }
        throw Failure(.bad, "cursorHeld", "another process holds cursor \(name)", advice: "stop its delivery first")
      }
    }

    /// The cursor's position in words. An unreadable cursor can be deleted, too: no other command removes it.
    private func position(_ reader: LogReader) throws -> String {
      if try isNameless(reader) { return "(unreadable, name and position unknown)" }
      do {
        let state = try CursorCommand.state(name, reader)
        return "at offset \(state.committed)"
          + (state.inFlight.isEmpty ? "" : ", with a batch in flight that its destination may already have,")
      } catch let error as LogError where error.code == .damaged || error.code == .io {
        return "(unreadable, position unknown)"
      }
    }

    /// Whether the name is that of a damaged place, of which the cursor's name cannot be read.
    private func isNameless(_ reader: LogReader) throws -> Bool {
      if CursorStore.isName(name) { return false }
      let states = try reader.cursorStates()
      return states.contains { $0.name == name }
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
      advice: near ?? (names.isEmpty ? "it has no cursors" : "it has \(names.joined(separator: ", "))"))
  }

  static func refusePendingBatch(_ name: String, _ state: CursorState) throws {
    guard let open = state.inFlight.first?.intent else { return }
    throw Failure(
      .bad, "illegalMove", "cursor \(name) has a batch in flight (records \(open.first) ..< \(open.end))",
      advice: "finish it first (penstock deliver --until-caught-up), because its destination may already have it; or"
        + " give it up with --give-up-batch")
  }
}
