import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite("A destination that wants some of the events", .timeLimit(.minutes(4))) struct SelectionTests {
  private let dead = InMemoryDeadLetters()

  /// A log of so many events of ten apps, in turn, and where app 3 has its events.
  private func rig(_ records: Int, blocks: Int = 1) -> (DeliveryRig, [UInt64]) {
    let rig = DeliveryRig()
    for block in 0..<blocks {
      let numbers = (block * records / blocks)..<((block + 1) * records / blocks)
      rig.source.append(numbers.map { Array(event($0, of: "app \($0 % 10)").utf8) })
    }
    return (rig, (0..<UInt64(records)).filter { $0 % 10 == 3 })
  }

  private func rows(_ rig: DeliveryRig, _ offsets: [UInt64]) -> [UInt8] {
    let all = rig.source.allRecords
    return offsets.flatMap { all[Int($0)] + [UInt8(ascii: "\n")] }
  }

  @Test func `gets full batches of them, whatever lies between`() async throws {
    let (rig, wanted) = rig(1_000, blocks: 7)
    let sink = ScriptedSink()
    let report = try await rig.delivery(
      to: SelectingSink(sink: sink, selection: only("app 3")), policy: BatchPolicy(maxRecords: 40)
    ).run(untilCaughtUpWith: nil)
    #expect(sink.destination.content == rows(rig, wanted))
    let counts = sink.destination.arrivals.map { $0.bytes.count { $0 == UInt8(ascii: "\n") } }
    #expect(counts == [40, 40, 20])
    #expect(report.events == 100 && report.records == 1_000 && report.end == rig.source.end)
    // A batch ends with its last event.
    #expect(sink.destination.arrivals[0].range.upperBound == Offset(394))
    #expect(rig.cursor.state.committed == rig.source.end)
  }

  @Test func `passes the others without a write, and is where it says when it ends`() async throws {
    let (rig, _) = rig(5_000)
    let sink = ScriptedSink()
    let delivery = rig.delivery(to: SelectingSink(sink: sink, selection: try only("nobody")))
    let report = try await delivery.run(untilCaughtUpWith: nil)
    #expect(report.ending == .caughtUp && report.records == 5_000 && report.events == 0 && sink.attempts.isEmpty)
    #expect(rig.cursor.history == [.saved(rig.source.end)])
    #expect(rig.cursor.state.committed == rig.source.end)
  }

  @Test func `writes where it is five seconds after it began to pass records, and before a pause`() async throws {
    let (rig, _) = rig(20)
    let (delivery, run) = rig.delivery(to: SelectingSink(sink: ScriptedSink(), selection: try only("nobody"))).started()
    #expect(await delivery.waitForProgress { $0.committed == rig.source.end })
    #expect(rig.cursor.history.isEmpty && rig.cursor.state.committed == .zero)
    await rig.clock.untilSomebodySleeps(until: rig.clock.now() + .seconds(5))
    rig.clock.advance(by: .seconds(5))
    #expect(await rig.cursor.wait { $0.committed == Offset(20) })
    rig.source.append(event(20, of: "app 1"))
    #expect(await delivery.waitForProgress { $0.committed == Offset(21) })
    try await delivery.pause(reason: "a test")
    #expect(await delivery.waitForProgress { $0.activity == .paused })
    #expect(rig.cursor.state.committed == Offset(21))
    try await delivery.resume()
    rig.source.append(event(21, of: "app 1"))
    #expect(await delivery.waitForProgress { $0.committed == Offset(22) })
    try await stop(delivery, run)
    #expect(rig.cursor.history == [.saved(Offset(20)), .saved(Offset(21)), .saved(Offset(22))])
  }

  @Test func `the next batch writes it, too, and begins there`() async throws {
    let (rig, _) = rig(3)
    let sink = ScriptedSink()
    let (delivery, run) = rig.delivery(
      to: SelectingSink(sink: sink, selection: try only("app 3")), policy: BatchPolicy(maxRecords: 1)
    ).started()
    #expect(await delivery.waitForProgress { $0.committed == Offset(3) })
    rig.source.append(event(3, of: "app 3"))
    #expect(await rig.cursor.wait { $0.committed == Offset(4) })
    #expect(sink.destination.arrivals.map(\.range) == [Offset(3)..<Offset(4)])
    try await stop(delivery, run)
    #expect(!rig.cursor.history.contains { if case .saved = $0 { true } else { false } })
  }

  @Test func `a full disk keeps nobody from ending`() async throws {
    let (rig, _) = rig(20)
    rig.cursor.failNext(.save, with: LogError(.noSpace, "full"))
    let report = try await rig.delivery(to: SelectingSink(sink: ScriptedSink(), selection: try only("nobody")))
      .run(untilCaughtUpWith: nil)
    #expect(report.ending == .caughtUp && report.end == Offset(20) && rig.cursor.state.committed == .zero)
  }

  @Test func `with a manifest has a batch for every range, also without an event`() async throws {
    let (rig, _) = rig(20)
    let sink = ScriptedSink()
    for app in ["nobody", "app 3"] {
      _ = try await rig.delivery(
        to: SelectingSink(sink: sink, selection: try only(app), recordsEveryRange: true)
      ).run(untilCaughtUpWith: app == "nobody" ? Offset(12) : nil)
    }
    let ranges = sink.destination.arrivals.map(\.range)
    #expect(ranges.first?.lowerBound == .zero && ranges.last?.upperBound == Offset(20))
    for (earlier, later) in zip(ranges, ranges.dropFirst()) { #expect(earlier.upperBound == later.lowerBound) }
    #expect(sink.destination.arrivals[0].bytes.isEmpty && sink.destination.content == rows(rig, [13]))
  }

  @Test func `loses no more than its rejected events, and halving counts events`() async throws {
    let (rig, wanted) = rig(2_000)
    let guilty = Set([wanted[0], wanted[77], wanted[199]].map { Offset($0) })
    let sink = ScriptedSink(faults: .init(rejects: guilty))
    let notices = NoticeLog()
    let report = try await rig.delivery(
      to: SelectingSink(sink: sink, selection: try only("app 3")), policy: BatchPolicy(maxRecords: 64),
      deadLetters: dead.box(), observer: notices.observer
    ).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset) == guilty.sorted())
    #expect(dead.letters.allSatisfy { $0.attempts == 1 && !$0.isUnrenderable })
    #expect(sink.destination.content == rows(rig, wanted.filter { !guilty.contains(Offset($0)) }))
    #expect(report.deadLetters == 3 && rig.cursor.state.committed == rig.source.end)
    #expect(sink.attempts.count <= 43 && !notices.eventCounts.contains(0))
  }

  @Test func `halts before a record that is no event, or keeps it as a dead letter`() async throws {
    let rig = DeliveryRig()
    rig.source.append(event(0, of: "app 3"), event(1, of: "app 4"), "no JSON", event(3, of: "app 3"))
    let sink = ScriptedSink()
    let selecting = SelectingSink(sink: sink, selection: try only("app 3", malformed: .halt))
    let failure = await #expect(throws: DeliveryFailure.self) {
      try await rig.delivery(to: selecting).run(untilCaughtUpWith: nil)
    }
    #expect(failure?.trouble.kind == .unrenderable && sink.destination.content == rows(rig, [0]))
    _ = try await rig.delivery(to: selecting, deadLetters: dead.box()).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset) == [Offset(2)] && sink.destination.content == rows(rig, [0, 3]))
    #expect(rig.cursor.state.committed == Offset(4))
  }

  @Test func `an open batch keeps the filter of its plan when the filter changes`() async throws {
    let (rig, _) = rig(40)
    let first = ScriptedSink(RecordingDestination(rangesMayNotTouch: true), script: [.loseAnswer])
    let (_, run) = rig.delivery(to: SelectingSink(sink: first, selection: try only("app 3"))).started()
    await first.destination.untilArrivals(1)
    try await kill(run)
    let second = ScriptedSink(first.destination)
    let changed = SelectingSink(sink: second, selection: try only("app 4"))
    _ = try await rig.delivery(to: changed).run(untilCaughtUpWith: nil)
    let arrivals = first.destination.arrivals
    try #require(arrivals.count > 1)
    #expect(arrivals[0].id == arrivals[1].id && arrivals[0].bytes == arrivals[1].bytes)
    #expect(first.destination.content == rows(rig, [3, 13, 23, 24, 34]))
    #expect(first.destination.violations.isEmpty)
  }

  @Test func `a death at any step loses and doubles nothing`() async throws {
    let wanted = rig(60, blocks: 5).1
    func lives(_ steps: [Int]) async throws -> [Int] {
      let (rig, _) = rig(60, blocks: 5)
      let destination = RecordingDestination(rangesMayNotTouch: true)
      let counts = try await eachLife(dyingAt: steps) { number, crash in
        let sink = ScriptedSink(destination, faults: .init(crash: crash))
        let selecting = SelectingSink(sink: sink, selection: try only("app 3"))
        let cursor = rig.cursor
        let result = await live(until: crash) {
          try await rig.delivery(to: selecting, cursor: cursor, policy: BatchPolicy(maxRecords: 2), crash: crash)
            .run(untilCaughtUpWith: nil)
        }
        if number == steps.count { _ = try result.get() }
      }
      #expect(destination.content == rows(rig, wanted), "dying at \(steps)")
      #expect(destination.violations.isEmpty && rig.cursor.state.committed == rig.source.end, "dying at \(steps)")
      return counts
    }
    let steps = try await lives([])[0]
    #expect(steps > 12)
    for first in 0..<steps {
      _ = try await lives([first])
      for second in 0..<4 { _ = try await lives([first, second]) }
    }
  }

  @Test func `a stop that comes while a second batch is closed ends the delivery in order`() async throws {
    let rig = DeliveryRig(records: 3)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let source = StoppingSource(source: rig.source)
    let delivery = Delivery(
      from: rig.cursor.acquire(), source: source, to: sink,
      options: DeliveryOptions(policy: BatchPolicy(maxRecords: 3), maxInFlight: 2), environment: rig.environment())
    source.delivery.withLock { $0 = delivery }
    let (_, run) = delivery.started()
    await sink.untilDeliveries(1)
    rig.source.append("a", "b", "c")
    await delivery.untilStopping()
    sink.release()
    let report = try await outcome(of: run)
    #expect(report.ending == .stopped && report.end == Offset(3) && sink.destination.content.count == 27)
  }
}

/// Stops the delivery when it reads the second batch, so that the stop is there when that is closed.
private final class StoppingSource: RecordSource {
  let source: InMemorySource
  let delivery = Mutex<Delivery?>(nil)

  init(source: InMemorySource) { self.source = source }

  var logID: String { source.logID }
  var durableEnd: Offset { get async { source.end } }
  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    if first == Offset(3) { delivery.withLock { $0 }?.stop() }
    return try await source.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }
  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await source.records(in: range) }
  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await source.waitForRecords(past: offset, timeout: timeout)
  }
}
