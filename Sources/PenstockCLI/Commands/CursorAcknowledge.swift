import ArgumentParser
import PenstockLog
import PenstockToolSupport

extension CursorCommand {
  struct Acknowledge: ReportingCommand {
    static let spokenName = "cursor acknowledge"
    static let configuration = CommandConfiguration(
      abstract: "Acknowledges a gap: the cursor skips the lost records and continues after them.",
      discussion: """
        A destination halts where records are lost: retention's hard cap deleted them, or they are damaged. Without \
        --yes, prints what is lost. With --yes, the cursor skips it. If a batch in flight contains lost records, the \
        whole batch is abandoned; the destination may already have it. Replay its offsets to deliver the readable \
        records.

          penstock cursor acknowledge archive --log ./events
          penstock cursor acknowledge archive --log ./events --yes
        """)
    @Argument(help: "The cursor.") var name: String
    @OptionGroup var confirmation: ConfirmOption
    @OptionGroup var logOption: LogOption
    @OptionGroup var common: CommonOptions

    func perform() async throws {
      let reader = try await LogReader.open(at: logOption.log)
      let state = try CursorCommand.state(name, reader)
      guard let gap = try state.gap ?? Self.gap(in: state, reader) else {
        throw Failure(
          .bad, "noGap", "cursor \(name) has no gap at offset \(state.committed)",
          advice: "to move the cursor, use penstock cursor seek \(name) --to POSITION")
      }
      let batch = state.gap == nil ? state.givenUp(by: gap.first..<gap.end) : nil
      let (first, end) = (min(batch?.lowerBound ?? gap.first, gap.first), max(batch?.upperBound ?? gap.end, gap.end))
      let effect =
        "cursor \(name) skips \(HumanFormat.count(end - first, "lost record")) (\(first) ..< \(end))"
        + (batch.map { " and abandons the batch in flight \($0.lowerBound) ..< \($0.upperBound)" } ?? "")
      try confirmation.require("\(effect); it would continue at \(end)")
      let cursor = try await reader.cursor(named: name)
      try await cursor.acknowledge(gap)
      tell(
        CursorLine(name: name, state: cursor.state, end: reader.end).json(now: SystemWallClock().now()),
        "\(effect); it continues at \(cursor.state.committed)")
    }

    /// The first gap in the cursor's batches in flight and reserved ranges, or else at its next record.
    private static func gap(in state: CursorState, _ reader: LogReader) throws(LogError) -> Gap? {
      let opened = state.inFlight.filter { !$0.isDelivered }.map { $0.intent.first..<$0.intent.end } + state.reserved
      for range in opened.sorted(by: { $0.lowerBound < $1.lowerBound }) {
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
