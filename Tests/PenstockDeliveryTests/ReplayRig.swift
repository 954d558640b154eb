import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit

/// A log in memory with replays over it.
struct ReplayRig: Sendable {
  let clock: ManualDeliveryClock
  let source: InMemorySource
  let replays: InMemoryReplays
  let destination = RecordingDestination()

  init(records: Int = 10) {
    clock = ManualDeliveryClock()
    source = InMemorySource(timeOfDay: clock.timeOfDay, clock: clock)
    replays = InMemoryReplays(of: source)
    for number in 0..<records {
      source.append("record \(number)")
      clock.timeOfDay.advance(seconds: 1)
    }
  }

  func replay(
    _ window: ReplayWindow?, id: String = "again", to sink: (any Sink)? = nil, reading: (any RecordSource)? = nil,
    gaps: ReplaySettings.GapPolicy = .stop, rate: DeliveryRate? = nil,
    policy: BatchPolicy? = BatchPolicy(maxRecords: 3), crash: CrashSwitch? = nil,
    observer: (@Sendable (ReplayObserverEvent) -> Void)? = nil
  ) -> Replay {
    let settings = ReplaySettings(
      id: id, window: window, gaps: gaps, rate: rate, policy: policy, retry: RetryPolicy(first: .zero, cap: .zero))
    return Replay(
      settings, of: replays.log(reading: reading, crash: crash), to: sink ?? ScriptedSink(destination),
      environment: DeliveryEnvironment(clock: clock, wallClock: clock.timeOfDay, random: { 1 << 63 }, logger: silent),
      observer: observer)
  }

  func window(_ first: UInt64, _ end: UInt64) -> ReplayWindow {
    ReplayWindow(from: .offset(Offset(first)), to: .offset(Offset(end)))
  }

  /// The next moment that is slept for; the present one when the run ends instead.
  func sleeper(of run: Task<ReplayReport, any Error>) async -> MonotonicInstant {
    let sleeper = Task { await clock.sleeper() }
    Task {
      _ = await run.result
      sleeper.cancel()
    }
    return await sleeper.value
  }

  /// The records of a range, each with a line feed.
  func content(_ range: Range<Int>) -> [UInt8] { source.allRecords[range].flatMap { $0 + [UInt8(ascii: "\n")] } }
}

/// A log in which some records are lost.
struct GappySource: RecordSource {
  let inner: InMemorySource
  let gaps: [Range<Offset>]

  var logID: String { inner.logID }
  var durableEnd: Offset { get async { inner.end } }

  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    if let gap = gaps.first(where: { $0.contains(first) }) { throw LogError(told(gap, from: first)) }
    // A batch ends before a gap.
    let next = gaps.map(\.lowerBound).filter { $0 > first }.min()
    let most = next.map { min($0 - first, maxRecords) } ?? maxRecords
    return try await inner.records(from: first, maxRecords: most, maxBytes: maxBytes)
  }

  func records(in range: Range<Offset>) async throws(LogError) -> Batch {
    if let gap = gaps.first(where: { $0.overlaps(range) }) { throw LogError(told(gap, from: gap.lowerBound)) }
    return try await inner.records(in: range)
  }

  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await inner.waitForRecords(past: offset, timeout: timeout)
  }

  private func told(_ gap: Range<Offset>, from first: Offset) -> Gap {
    Gap(first: first, end: gap.upperBound, reason: .damaged)
  }
}

extension Replay {
  /// The replay, and its run.
  func started() -> (Replay, Task<ReplayReport, any Error>) { (self, Task { try await run() }) }
}

/// A log in which something happens just before a replay gets its cursor.
struct OvertakenLog: ReplayStore, RecordSource {
  let inner: InMemoryReplayLog
  let before: @Sendable () async throws -> Void

  func offset(of place: Position) throws(LogError) -> Offset { try inner.offset(of: place) }
  func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate { try inner.extent(of: range) }
  func replay(_ id: String) async throws(LogError) -> ReplayManifest? { try await inner.replay(id) }
  func createReplay(_ manifest: ReplayManifest) async throws(LogError) { try await inner.createReplay(manifest) }
  func updateReplay(_ manifest: ReplayManifest) async throws(LogError) { try await inner.updateReplay(manifest) }
  func replayLease(_ manifest: ReplayManifest) async throws(LogError) -> any ReplayLease {
    do { try await before() } catch { throw LogError(.io, "what should have happened before did not", cause: error) }
    return try await inner.replayLease(manifest)
  }
  func removeReplay(_ id: String, manifest: Bool) async throws(LogError) {
    try await inner.removeReplay(id, manifest: manifest)
  }

  var logID: String { inner.logID }
  var durableEnd: Offset { get async { await inner.durableEnd } }
  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try await inner.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }
  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try await inner.records(in: range) }
  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await inner.waitForRecords(past: offset, timeout: timeout)
  }
}
