import ArgumentParser
import PenstockLog

extension CursorCommand {
  struct Acknowledge: ReportingCommand {
    static let spokenName = "cursor acknowledge"
    static let configuration = CommandConfiguration(
      abstract: "Takes note that records are lost to a cursor, which then goes on behind them.",
      discussion: """
        Where retention's hard cap has passed a cursor, or the records before it are damaged, its destination halts, because \
        somebody must know what it never got. Without --yes this says what is lost; with it the cursor goes on. The records stay lost. Where they are needed, look \
        for them elsewhere first; a batch that was in flight may be at its destination.

          penstock cursor acknowledge archive --log ./events
          penstock cursor acknowledge archive --log ./events --yes
        """)
    @Argument(help: "The cursor.") var name: String
    @Flag(help: "Do it.") var yes = false
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      let state = try CursorCommand.state(name, reader)
      guard let gap = try state.gap ?? Self.gap(at: state.committed, reader) else {
        throw Failure(
          .bad, "noGap", "cursor \(name) has lost nothing; it stands at offset \(state.committed)",
          advice: "penstock cursor seek \(name) --to PLACE moves it")
      }
      if state.gap == nil { try CursorCommand.refuseOpenBatch(name, state) }
      let effect =
        "\(Words.count(gap.end - gap.first, "record")) (\(gap.first) ..< \(gap.end)) stay lost to cursor \(name)"
      try CursorCommand.ask(yes, "\(effect), and it would go on at \(gap.end)")
      let cursor = try await reader.cursor(named: name)
      try await cursor.acknowledge(gap)
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "\(effect); it goes on at \(cursor.state.committed)")
    }

    /// What is lost where the cursor stands, damaged or missing.
    private static func gap(at offset: Offset, _ reader: LogReader) throws(LogError) -> Gap? {
      do throws(LogError) {
        _ = try reader.view.block(holding: offset)
        return nil
      } catch {
        guard let gap = error.gap else { throw error }
        return gap
      }
    }
  }
}
