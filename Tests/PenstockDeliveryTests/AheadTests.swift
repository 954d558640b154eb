import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("The next batch, while one is on its way", .timeLimit(.minutes(2))) struct AheadTests {
  private let dead = InMemoryDeadLetters()

  /// How many batches were begun, how many were committed, and how many writes did both.
  private func writes(_ cursor: InMemoryCursor) -> [Int] {
    cursor.history.reduce(into: [0, 0, 0]) { counts, entry in
      switch entry {
      case .begun: counts[0] += 1
      case .completed(_, let next):
        counts[1] += 1
        if next != nil { counts[2] += 1 }
      default: break
      }
    }
  }

  @Test func `is begun by the write that commits the one before, and sent after it`() async throws {
    let rig = DeliveryRig(records: 18)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: sink).started()
    await sink.untilDeliveries(1)
    // The second batch is rendered before the first is answered, and not begun.
    await sink.untilRenderings(2)
    #expect(rig.cursor.state.inFlight.count == 1 && sink.attempts.count == 1)
    sink.release()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end && $0.inFlight.isEmpty })
    try await stop(delivery, run)
    #expect(writes(rig.cursor) == [6, 6, 5])
    #expect(sink.destination.content == rig.content && sink.destination.violations.isEmpty)
  }

  @Test func `is dropped when the one before is in trouble, and no commit waits for it`() async throws {
    let rig = DeliveryRig(records: 6)
    let sink = ScriptedSink(RecordingDestination(rangesMayNotTouch: true), faults: .init(rejects: [Offset(1)]))
    let (delivery, run) = rig.delivery(to: sink, deadLetters: dead.box()).started()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end })
    try await stop(delivery, run)
    #expect(dead.letters.map(\.offset.rawValue) == [1])
    let held = sink.destination.distinct.flatMap { Array($0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue) }
    #expect(held == [0, 2, 3, 4, 5] && sink.destination.violations.isEmpty)
  }

  @Test func `leaves a full disk room for the commit`() async throws {
    let rig = DeliveryRig(records: 6)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: sink).started()
    await sink.untilRenderings(2)
    rig.cursor.failNext(.complete, with: LogError(.noSpace, "full"))
    sink.release()
    #expect(await rig.cursor.wait { $0.committed == rig.source.end })
    let report = try await stop(delivery, run)
    #expect(report.batches == 2 && sink.destination.content == rig.content)
  }

  @Test func `is not begun by a delivery that is paused or stopped meanwhile`() async throws {
    for isPause in [true, false] {
      let rig = DeliveryRig(records: 6)
      let sink = ScriptedSink(last: .acceptWhenReleased)
      let (delivery, run) = rig.delivery(to: sink).started()
      await sink.untilRenderings(2)
      if isPause { try await delivery.pause(reason: "a test") } else { delivery.stop() }
      sink.release()
      #expect(await rig.cursor.wait { $0.committed == Offset(3) })
      if isPause { #expect(await delivery.waitForProgress { $0.activity == .paused }) }
      try await stop(delivery, run)
      #expect(rig.cursor.state.inFlight.isEmpty && sink.attempts.count == 1 && writes(rig.cursor) == [1, 1, 0])
    }
  }

  @Test func `that cannot be read keeps the one before from nothing`() async throws {
    let rig = DeliveryRig(records: 3)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let source = FailingSource(source: rig.source)
    let (delivery, run) = rig.delivery(
      to: sink, policy: BatchPolicy(maxRecords: 3, maxWait: .zero), source: source
    ).started()
    await sink.untilDeliveries(1)
    rig.source.failReads(with: LogError(.damaged, "no"))
    rig.source.append("lost", "after")
    #expect(await source.failures.wait { $0 > 0 })
    sink.release()
    #expect(await delivery.waitForProgress { $0.trouble?.kind == .unreadable })
    try await stop(delivery, run)
    #expect(rig.cursor.state.committed == Offset(3))
  }
}

/// Counts the reads that fail.
private struct FailingSource: RecordSource {
  let source: InMemorySource
  let failures = AsyncCondition(0)

  var logID: String { source.logID }
  var durableEnd: Offset { get async { source.end } }

  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    do throws(LogError) {
      return try await source.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
    } catch {
      failures.update { $0 += 1 }
      throw error
    }
  }

  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await source.records(in: range) }

  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await source.waitForRecords(past: offset, timeout: timeout)
  }
}
