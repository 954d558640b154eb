import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

/// A sink that renders as its own version likes, whatever the plan says: what a careless release would do.
struct CarelessSink: Sink {
  let inner: ScriptedSink
  let version: UInt8
  var description: String { inner.description }
  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { try inner.plan(outline) }
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    try inner.prepare(batch, plan: [UInt8(ascii: "1"), version])
  }
  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome { await inner.deliver(delivery) }
}

@Suite("A delivery that dies", .timeLimit(.minutes(2))) struct DeliveryCrashTests {
  /// Runs one process until it has caught up or died. Every other process has another configuration. The destination
  /// loses an answer in each.
  func live(_ rig: DeliveryRig, _ destination: RecordingDestination, number: Int, crash: CrashSwitch) async throws {
    let sink = ScriptedSink(
      destination, lineEnding: number % 2 == 0 ? "\n" : "\r\n", script: [.accept, .loseAnswer],
      faults: .init(crash: crash))
    let delivery = rig.delivery(
      to: sink, policy: BatchPolicy(maxRecords: 2 + number % 2), retry: RetryPolicy(first: .zero, cap: .zero),
      crash: crash)
    let report = try await PenstockDeliveryTests.live(until: crash) { try await delivery.run(untilCaughtUpWith: nil) }
      .get()
    #expect(report.ending == (crash.isDead ? .stopped : .caughtUp))
  }

  /// Dies at `steps`, one after the other, and then finishes; returns how many steps each process made.
  func lives(dyingAt steps: [Int]) async throws -> [Int] {
    let rig = DeliveryRig(records: 5)
    let destination = RecordingDestination()
    let counts = try await eachLife(dyingAt: steps) { number, crash in
      try await live(rig, destination, number: number, crash: crash)
    }
    #expect(rig.cursor.state.committed == Offset(5) && rig.cursor.state.inFlight.isEmpty)
    #expect(destination.violations.isEmpty, "died at \(steps): \(destination.violations)")
    // Line endings differ by configuration; the records do not.
    #expect(destination.content.filter { $0 != UInt8(ascii: "\r") } == rig.content, "died at \(steps)")
    let begun = Set(rig.cursor.history.compactMap { if case .begun(let intent) = $0 { intent.id } else { nil } })
    #expect(destination.arrivals.allSatisfy { begun.contains($0.id) }, "died at \(steps): sent without an intent")
    return counts
  }

  @Test
  func `between any two steps is followed by one that finishes: one content for an id, every row once`() async throws {
    let whole = try await lives(dyingAt: [])
    #expect(whole[0] > 20)
    for step in 1...whole[0] { _ = try await lives(dyingAt: [step]) }
  }

  @Test func `twice, at any two steps, does no more harm`() async throws {
    let whole = try await lives(dyingAt: [])
    var lifetimes = 0
    for first in 1...whole[0] {
      // More steps than are left only mean that the second process finishes.
      for second in 1...whole[0] + 2 {
        let counts = try await lives(dyingAt: [first, second])
        lifetimes += counts.count
        if counts[1] < second { break }
      }
    }
    #expect(lifetimes > 500)
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func `again and again, at steps drawn from a seed, still finishes`(seed: UInt64) async throws {
    var generator = SplitMix64(seed: seed)
    let steps = (0..<8).map { _ in 1 + generator.below(14) }
    #expect(try await lives(dyingAt: steps).count == 9)
  }

  @Test
  func `and comes back configured otherwise keeps range, bytes, plan and id of its open batch alone`() async throws {
    let rig = DeliveryRig(records: 4)
    let destination = RecordingDestination()
    let lost = ScriptedSink(destination, lineEnding: "\n", script: [.loseAnswer], last: .hang)
    let retry = RetryPolicy(first: .zero, cap: .zero)
    let (_, run) = rig.delivery(to: lost, policy: BatchPolicy(maxRecords: 2), retry: retry).started()
    await lost.untilDeliveries(2)
    try await kill(run)
    let changed = ScriptedSink(destination, lineEnding: "\r\n")
    let notices = NoticeLog()
    _ = try await rig.delivery(to: changed, policy: BatchPolicy(maxRecords: 1), observer: notices.observer)
      .run(untilCaughtUpWith: nil)
    let arrivals = destination.arrivals
    #expect(arrivals.map { String(decoding: $0.plan, as: UTF8.self) } == ["1\n", "1\n", "1\r\n", "1\r\n"])
    #expect(arrivals.map { $0.range.upperBound.rawValue } == [2, 2, 3, 4])
    #expect(arrivals[0].id == arrivals[1].id && arrivals[0].bytes == arrivals[1].bytes)
    #expect(String(decoding: arrivals[2].bytes, as: UTF8.self) == "record 2\r\n")
    #expect(notices.closeReasons == [.reopened, .records, .records])
  }

  @Test(arguments: [true, false])
  func `and comes back unable to render its open batch as before sends nothing and says so`(
    asService: Bool
  ) async throws {
    let rig = DeliveryRig(records: 2)
    let destination = RecordingDestination()
    let hung = ScriptedSink(destination, script: [.loseAnswer], last: .hang)
    let retry = RetryPolicy(first: .zero, cap: .zero)
    let first = rig.delivery(to: CarelessSink(inner: hung, version: 49), retry: retry)
    let run = Task { try await first.run(untilCaughtUpWith: nil) }
    await hung.untilDeliveries(2)
    try await kill(run)

    let second = rig.delivery(to: CarelessSink(inner: ScriptedSink(destination), version: 50), retry: retry)
    if asService {
      let run = Task { try await second.run() }
      // Or commits: a delivery that does not halt fails the test instead of hanging it.
      _ = await second.waitForProgress { $0.activity == .halted || $0.committed > .zero }
      #expect(await second.progress.trouble?.kind == .contentChanged)
      try await stop(second, run)
    } else {
      let failure = await #expect(throws: DeliveryFailure.self) { try await second.run(untilCaughtUpWith: nil) }
      #expect(failure?.trouble.kind == .contentChanged)
    }
    #expect(destination.arrivals.count == 1 && rig.cursor.state.committed == .zero)

    // The version that opened it can finish it.
    let third = rig.delivery(to: CarelessSink(inner: ScriptedSink(destination), version: 49))
    _ = try await third.run(untilCaughtUpWith: nil)
    #expect(destination.violations.isEmpty && rig.cursor.state.committed == Offset(2))
  }
}
