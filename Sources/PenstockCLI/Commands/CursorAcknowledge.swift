import ArgumentParser
import PenstockLog
import PenstockToolSupport

extension CursorCommand {
  struct Acknowledge: ReportingCommand {
    static let spokenName = "cursor acknowledge"
    static let configuration = CommandConfiguration(
      abstract: "Acknowledges a gap: the cursor skips the lost records and continues after them.",
      discussion: """
        A destination halts where records are lost: retention's hard cap removed them, or they are damaged. Without --yes this \
        prints what is lost. With --yes the cursor skips it. If an open batch holds lost records, the whole batch is given up: its \
        destination may hold it already. Replay its offsets to deliver what can still be read.

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
      guard let gap = try state.gap ?? Self.gap(in: state, reader) else {
        throw Failure(
          .bad, "noGap", "cursor \(name) has lost nothing; it stands at offset \(state.committed)",
          advice: "penstock cursor seek \(name) --to PLACE moves it")
      }
      let batch = state.gap == nil ? state.givenUp(by: gap.first..<gap.end) : nil
      let (first, end) = (min(batch?.lowerBound ?? gap.first, gap.first), max(batch?.upperBound ?? gap.end, gap.end))
      let effect =
        "\(HumanFormat.count(end - first, "record")) (\(first) ..< \(end)) stay lost to cursor \(name)"
        + (batch.map { ", with the open batch \($0.lowerBound) ..< \($0.upperBound), which is given up" } ?? "")
      try CursorCommand.ask(yes, "\(effect); it would continue at \(end)")
      let cursor = try await reader.cursor(named: name)
      try await cursor.acknowledge(gap)
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "\(effect); it continues at \(cursor.state.committed)")
    }

    /// What is lost first of what the cursor has begun or reserved, or else where it would begin next.
    private static func gap(in state: CursorState, _ reader: LogReader) throws(LogError) -> Gap? {
      let begun = state.inFlight.filter { !$0.isDelivered }.map { $0.intent.first..<$0.intent.end } + state.reserved
      for range in begun.sorted(by: { $0.lowerBound < $1.lowerBound }) {
        if let gap = try gap({ () throws(LogError) in _ = try reader.view.batch(in: range) }) { return gap }
      }
      return try gap { () throws(LogError) in _ = try reader.view.block(holding: state.nextFirst) }
    }

    private static func gap(_ read: () throws(LogError) -> Void) throws(LogError) -> Gap? {
      do throws(LogError) {
        try read()
        return nil
      } catch {
        guard let gap = error.gap else { throw error }
        return gap
      }
    }
  }
}
