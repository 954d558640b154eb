import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Replays over a real log on a simulated disk.
@Suite("A replay of a log", .timeLimit(.minutes(3))) struct ReplayOfLogTests {
  private let disk = SimulatedFileSystem()
  private let clock = ManualClock()
  private let destination = RecordingDestination()

  private func open(_ disk: SimulatedFileSystem, _ change: (inout LogConfiguration) -> Void = { _ in }) async throws
    -> Log
  {
    var configuration = LogConfiguration()
    (configuration.segmentBytes, configuration.blockBytes, configuration.sealing) = (64 << 10, 4 << 10, .off)
    change(&configuration)
    return try await Log.open(at: "/log", configuration: configuration, environment: environment(disk))
  }

  private func environment(_ disk: SimulatedFileSystem) -> LogEnvironment {
    let salt = Atomic<UInt64>(0)
    return LogEnvironment(
      fileSystem: disk, clock: clock,
      randomBytes: {
        let number = UInt8(truncatingIfNeeded: salt.add(1, ordering: .relaxed).newValue)
        return [UInt8](repeating: number, count: 16)
      }, logger: silent)
  }

  private func replay(
    _ log: any ReplayStore & RecordSource, _ window: ReplayWindow?, to sink: (any Sink)? = nil,
    gaps: ReplaySettings.GapPolicy = .stop
  ) -> Replay {
    let settings = ReplaySettings(id: "tuesday", window: window, gaps: gaps, policy: BatchPolicy(maxRecords: 7))
    return Replay(
      settings, of: log, to: sink ?? ScriptedSink(destination),
      environment: DeliveryEnvironment(wallClock: clock, logger: silent))
  }

  private func lines(_ range: Range<Int>) -> [UInt8] { range.flatMap { Array("record \($0)\n".utf8) } }

  private func append(_ count: Int, to log: Log) async throws {
    for number in 0..<count {
      try await log.append("record \(number)")
      clock.advance(seconds: 1)
    }
  }

  @Test
  func `that was killed continues under its id and window, with its open batch, and leaves no cursor`() async throws {
    let log = try await open(disk)
    let live = try await log.cursor(named: "live")
    try await append(50, to: log)
    let start = clock.now().nanoseconds - 50_000_000_000
    func time(_ second: Int64) -> Position { .time(Timestamp(nanoseconds: start + second * 1_000_000_000)) }
    let window = ReplayWindow(from: time(10), to: time(40))
    let sink = ScriptedSink(destination, script: [.accept, .loseAnswer], last: .hang)
    let (_, run) = replay(log, window, to: sink).started()
    await sink.untilDeliveries(3)
    let after = disk.powerCut(.nothingUnsynced)
    run.cancel()
    _ = try? await run.value
    try await log.close()

    let again = try await open(after)
    #expect(try await again.replays().map(\.window) == [Offset(10)..<Offset(40)])
    let report = try await replay(again, window).run()
    #expect(report.ending == .finished && destination.violations.isEmpty && destination.content == lines(10..<40))
    #expect(destination.arrivals.count == destination.distinct.count + 1)
    #expect(try await replay(again, nil).run().ending == .alreadyFinished)
    #expect(try CursorStore.names(after, LogPaths("/log")) == ["live"])
    #expect(live.state.committed == .zero)
    try await again.close()
  }

  @Test func `by another process runs while the writer appends`() async throws {
    let log = try await open(disk)
    try await append(30, to: log)
    let reader = try await LogReader.open(at: "/log", environment: environment(disk))
    let report = try await replay(reader, ReplayWindow(from: .beginning, to: .end)).run()
    #expect(try await log.replays().map(\.isFinished) == [true])
    reader.close()
    try await append(3, to: log)
    #expect(report.committed == Offset(30) && destination.content == lines(0..<30))
    let estimate = try await Replay.dryRun(
      ReplaySettings(id: "x", window: ReplayWindow(from: .offset(Offset(5)), to: .end)), of: log)
    #expect(estimate.extent.records == 28 && estimate.batches == 1 && estimate.duration == nil)
    try await log.close()
  }

  @Test
  func `of a window that begins below what retention left says what is gone, and skips it if asked`() async throws {
    let log = try await open(disk)
    try await append(60, to: log)
    try await log.close()
    let short = try await open(disk) { $0.retention = RetentionPolicy(maxBytes: 64 << 10) }
    _ = try await short.trim()
    let first = short.first.rawValue
    #expect(first > 0)
    let window = ReplayWindow(Offset(0)..<Offset(60))
    #expect(try await Replay.dryRun(ReplaySettings(id: "x", window: window), of: short).extent.missing == Int(first))
    let error = await #expect(throws: ReplayError.self) { try await replay(short, window).run() }
    #expect(error?.code == .gap && error?.range == Offset(0)..<Offset(first))
    let report = try await replay(short, nil, gaps: .skip).run()
    #expect(report.manifest.skippedRecords == Int(first) && destination.content == lines(Int(first)..<60))
    try await short.close()
  }

  @Test func `has its lag computed from the same facts as a live cursor`() async throws {
    let log = try await open(disk)
    try await append(60, to: log)
    let cursor = try await log.cursor(named: "live", startingAt: .offset(Offset(20)))
    let facts = try log.lagSnapshot(
      of: cursor.state, retention: RetentionPolicy(hardCapBytes: 1 << 20), at: MonotonicInstant(sinceStart: .zero),
      timeOfDay: clock.now())
    var meter = LagMeter(cursor: cursor.name)
    let lag = meter.observe(facts)
    #expect(lag.records == 40 && lag.age == .seconds(40) && lag.storedBytes > 0 && lag.health == .ok)
    // Forty records, each in a block of one page; a few pages more for what segments in between hold besides blocks.
    #expect((40 * 4096...46 * 4096).contains(lag.storedBytes))
    let kept = try #require(facts.keptBytes)
    // The newest segment's zeros filled ahead, and what the oldest holds before the cursor.
    #expect(kept > lag.storedBytes)
    try await cursor.seek(to: .end)
    let none = try log.lagSnapshot(of: cursor.state, at: MonotonicInstant(sinceStart: .zero), timeOfDay: clock.now())
    #expect(none.storedBytes == 0 && none.oldestAppendTime == nil && meter.observe(none).records == 0)
    try await log.close()
  }
}
