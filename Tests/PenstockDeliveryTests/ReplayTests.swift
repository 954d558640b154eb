import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

@Suite("A replay", .timeLimit(.minutes(2))) struct ReplayTests {
  let rig = ReplayRig()

  @Test func `delivers its window, from the first record up to and without the last, and is over`() async throws {
    let report = try await rig.replay(rig.window(2, 9)).run()
    #expect(rig.destination.content == rig.content(2..<9))
    #expect(rig.destination.distinct.map(\.range.upperBound.rawValue) == [5, 8, 9])
    #expect(report.ending == .finished && report.records == 7 && report.events == 7 && report.batches == 3)
    #expect(report.committed == Offset(9) && report.manifest.isFinished)
    #expect(rig.replays.cursor("again") == nil)
  }

  @Test func `that is over says so, and sends nothing again`() async throws {
    _ = try await rig.replay(rig.window(2, 9)).run()
    for window in [rig.window(2, 9), nil] {
      let again = rig.replay(window)
      #expect(try await again.run().ending == .alreadyFinished)
      #expect(await again.progress.fraction == 1)
    }
    #expect(rig.destination.arrivals.count == 3)
    try await Replay.discard("again", in: rig.replays.log())
    _ = try await rig.replay(rig.window(2, 9)).run()
    // Discarded and made again it is the same replay: the same ids.
    #expect(rig.destination.arrivals.count == 6 && rig.destination.distinct.count == 3)
  }

  @Test func `runs once; a second run throws and sends nothing`() async throws {
    let replay = rig.replay(rig.window(2, 9))
    _ = try await replay.run()
    let error = await #expect(throws: ReplayError.self) { try await replay.run() }
    #expect(error?.code == .alreadyRun && rig.destination.arrivals.count == 3)
  }

  @Test func `has ids of its own, which differ from the live ones and from another replay's`() async throws {
    let live = InMemoryCursor(named: "billing", of: rig.source)
    _ = try await Delivery(
      from: live.acquire(), source: rig.source, to: ScriptedSink(rig.destination), policy: BatchPolicy(maxRecords: 3),
      environment: DeliveryEnvironment(clock: rig.clock, wallClock: rig.clock.timeOfDay)
    ).run(untilCaughtUpWith: Offset(9))
    let stood = live.state
    _ = try await rig.replay(rig.window(0, 9)).run()
    _ = try await rig.replay(rig.window(0, 9), id: "other").run()
    #expect(Set(rig.destination.arrivals.map(\.id)).count == 9)
    #expect(live.state == stood)
  }

  @Test func `by time begins and ends at the first records appended at or after, and keeps that window`() async throws {
    let start = rig.clock.timeOfDay.now().nanoseconds - 10_000_000_000
    let window = ReplayWindow(
      from: .time(Timestamp(nanoseconds: start + 2_500_000_000)),
      to: .time(Timestamp(nanoseconds: start + 6_000_000_000)))
    _ = try await rig.replay(window).run()
    #expect(rig.destination.content == rig.content(3..<6))
  }

  @Test func `up to the end means the end when it began`() async throws {
    let rig = ReplayRig(records: 4)
    let sink = ScriptedSink(rig.destination, script: [.accept], last: .hang)
    let window = ReplayWindow(from: .beginning, to: .end)
    let (_, run) = rig.replay(window, to: sink).started()
    await sink.untilDeliveries(2)
    run.cancel()
    #expect(try await run.value.ending == .stopped)
    rig.source.append("too late")
    let report = try await rig.replay(window).run()
    #expect(report.manifest.end == Offset(4) && rig.destination.content == rig.content(0..<4))
  }

  @Test func `of nothing is over at once, without a delivery`() async throws {
    let report = try await rig.replay(rig.window(4, 4)).run()
    #expect(report.ending == .finished && rig.destination.arrivals.isEmpty)
  }

  @Test(
    arguments: [(5, 4, ReplayError.Code.badWindow), (0, 11, .badWindow), (11, 11, .badWindow)]
      as [(UInt64, UInt64, ReplayError.Code)])
  func `of a window that cannot be is refused, and leaves no trace`(
    first: UInt64, end: UInt64, code: ReplayError.Code
  ) async throws {
    let error = await #expect(throws: ReplayError.self) { try await rig.replay(rig.window(first, end)).run() }
    #expect(error?.code == code && rig.replays.manifest("again") == nil)
  }

  @Test
  func `under an id that has another window or destination is refused, and one of no id is unknown`() async throws {
    let unknown = await #expect(throws: ReplayError.self) { try await rig.replay(nil).run() }
    #expect(unknown?.code == .unknown)
    _ = try await rig.replay(rig.window(2, 9)).run()
    let moved = await #expect(throws: ReplayError.self) { try await rig.replay(rig.window(2, 8)).run() }
    #expect(moved?.code == .changed && moved?.message.contains("2 ..< 9, not 2 ..< 8") == true)
    let other = ScriptedSink(rig.destination, description: "elsewhere")
    let elsewhere = await #expect(throws: ReplayError.self) { try await rig.replay(rig.window(2, 9), to: other).run() }
    #expect(elsewhere?.code == .changed && elsewhere?.message.contains("elsewhere") == true && other.closings == 1)
  }

  @Test func `that meets lost records stops and says so, or skips and counts them, as it was asked`() async throws {
    let gappy = GappySource(
      inner: rig.source, gaps: [Offset(1)..<Offset(3), Offset(4)..<Offset(6), Offset(8)..<Offset(10)])
    let error = await #expect(throws: ReplayError.self) { try await rig.replay(rig.window(2, 9), reading: gappy).run() }
    #expect(error?.code == .gap && error?.range == Offset(2)..<Offset(3) && rig.destination.arrivals.isEmpty)
    let told = AsyncCondition<[Range<Offset>]>([])
    let report = try await rig.replay(nil, reading: gappy, gaps: .skip) { notice in
      if case .skipped(let gap) = notice { told.update { $0.append(gap.first..<gap.end) } }
    }.run()
    #expect(report.ending == .finished && report.manifest.skippedRecords == 4 && report.records == 3)
    #expect(rig.destination.content == rig.content(3..<4) + rig.content(6..<8))
    #expect(told.value == [Offset(2)..<Offset(3), Offset(4)..<Offset(6), Offset(8)..<Offset(10)])
  }

  @Test func `that retention's hard cap passes reports what it lost, and skips it`() async throws {
    let sink = ScriptedSink(rig.destination, script: [.accept], last: .hang)
    let (first, run) = rig.replay(rig.window(0, 9), to: sink).started()
    await sink.untilDeliveries(2)
    first.stop()
    run.cancel()
    _ = try await run.value
    // The batch 3 ..< 6 was in flight and is cut whole.
    rig.replays.cursor("again")?.pass(upTo: Offset(5))
    let error = await #expect(throws: ReplayError.self) { try await rig.replay(nil).run() }
    #expect(error?.code == .gap && error?.range == Offset(3)..<Offset(6))
    let report = try await rig.replay(nil, gaps: .skip).run()
    #expect(report.manifest.skippedRecords == 3 && report.ending == .finished)
    #expect(rig.destination.content == rig.content(0..<3) + rig.content(6..<9))
  }

  @Test func `goes no faster than it may, shows how far it is, and can be stopped while it waits`() async throws {
    let rate = DeliveryRate(recordsPerSecond: 3)
    let (_, run) = rig.replay(rig.window(0, 9), rate: rate).started()
    var arrivals = 0
    for second in 0..<2 {
      let due = await rig.sleeper(of: run)
      arrivals = rig.destination.arrivals.count
      #expect(arrivals == second + 1 && due == MonotonicInstant(sinceStart: .seconds(second + 1)))
      rig.clock.advance(to: due)
      await rig.destination.untilArrivals(second + 2)
    }
    #expect(try await run.value.ending == .finished)
    #expect(rig.clock.now() == MonotonicInstant(sinceStart: .seconds(2)))

    let (stopped, second) = rig.replay(rig.window(0, 9), id: "stopped", rate: rate).started()
    _ = await rig.sleeper(of: second)
    let progress = await stopped.progress
    #expect(progress.done == 3 && progress.total == 9 && progress.delivery?.activity == .pacing)
    stopped.stop()
    let report = try await second.value
    #expect(report.ending == .stopped && report.records == 3 && rig.destination.arrivals.count == 4)
    #expect(try await rig.replay(nil, id: "stopped", rate: .unlimited).run().records == 6)
  }

  @Test func `that another process ends before this one has the cursor does not begin again`() async throws {
    let log = rig.replays.log()
    let stopped = rig.replay(rig.window(2, 9))
    stopped.stop()
    #expect(try await stopped.run().ending == .stopped)
    let late = OvertakenLog(inner: log) { _ = try await rig.replay(nil).run() }
    let report = try await Replay(
      ReplaySettings(id: "again", window: nil, policy: BatchPolicy(maxRecords: 2)), of: late,
      to: ScriptedSink(rig.destination)
    ).run()
    #expect(report.ending == .alreadyFinished && rig.destination.arrivals.count == 3)
    #expect(rig.replays.cursor("again") == nil)
  }

  @Test func `estimates the time that is left by the pace so far`() async throws {
    let sink = ScriptedSink(rig.destination, script: [.accept], last: .acceptWhenReleased)
    let replay = rig.replay(rig.window(0, 9), to: sink)
    #expect(await replay.progress.timeLeft == nil)
    let run = Task { try await replay.run() }
    await sink.untilDeliveries(2)
    rig.clock.advance(by: .seconds(10))
    let progress = await replay.progress
    #expect(progress.done == 3 && progress.timeLeft == .seconds(20))
    sink.release()
    #expect(try await run.value.ending == .finished)
    #expect(await replay.progress.timeLeft == .zero)
  }

  @Test func `is estimated by a dry run, which leaves no trace`() async throws {
    let settings = ReplaySettings(
      id: "dry", window: rig.window(1, 9), rate: DeliveryRate(recordsPerSecond: 2), policy: BatchPolicy(maxRecords: 3))
    let estimate = try await Replay.dryRun(settings, of: rig.replays.log())
    #expect(estimate.extent.records == 8 && estimate.extent.recordBytes == 64 && estimate.batches == 3)
    #expect(estimate.duration == .seconds(4) && rig.replays.manifest("dry") == nil)
    var endless = settings
    endless.window = rig.window(1, 99)
    await #expect(throws: ReplayError.self) { try await Replay.dryRun(endless, of: rig.replays.log()) }
  }

  @Test func `keeps the rate it was given when it continues, until it is given another`() async throws {
    let (slow, slower) = (DeliveryRate(recordsPerSecond: 3), DeliveryRate(bytesPerSecond: 7, requestsPerSecond: 0.5))
    for (rate, expected) in [(slow, slow), (nil, slow), (slower, slower), (nil, slower)] {
      let sink = ScriptedSink(rig.destination, last: .hang)
      let (_, run) = Replay(
        ReplaySettings(id: "again", window: rig.window(0, 9), rate: rate, policy: BatchPolicy(maxRecords: 3)),
        of: rig.replays.log(), to: sink,
        environment: DeliveryEnvironment(clock: rig.clock, wallClock: rig.clock.timeOfDay)
      ).started()
      await sink.untilDeliveries(1)
      run.cancel()
      _ = try await run.value
      let kept = try #require(rig.replays.manifest("again")).rate
      #expect(kept.records == expected.recordsPerSecond && kept.bytes == expected.bytesPerSecond)
      #expect(kept.requests == expected.requestsPerSecond)
    }
    // It goes at that rate: 27 bytes are paid off before the next batch.
    let (_, run) = rig.replay(nil).started()
    #expect(await rig.sleeper(of: run) == rig.clock.now() + .seconds(27.0 / 7))
    run.cancel()
    _ = try await run.value
    let estimate = try await Replay.dryRun(ReplaySettings(id: "again", window: nil), of: rig.replays.log())
    let seconds = try #require(estimate.duration) / .seconds(1)
    #expect(seconds == Double(estimate.eventBytes) / 7)
  }

  @Test func `by event times is refused where the sink cannot leave events out, and leaves no trace`() async throws {
    let window = ReplayWindow(from: .eventTime(Timestamp(nanoseconds: 0)), to: .end)
    let error = await #expect(throws: ReplayError.self) { try await rig.replay(window).run() }
    #expect(error?.code == .unsupported && rig.replays.manifest("again") == nil && rig.destination.arrivals.isEmpty)
    let backwards = ReplayWindow(from: .eventTime(Timestamp(nanoseconds: 5)), to: .eventTime(Timestamp(nanoseconds: 4)))
    let bad = await #expect(throws: ReplayError.self) {
      try await Replay.dryRun(ReplaySettings(id: "x", window: backwards), of: rig.replays.log())
    }
    #expect(bad?.code == .badWindow)
  }
}
