public import Logging
public import PenstockLog
import ServiceLifecycle
import Synchronization

/// Delivers a window of the log once more, to any sink, beside everything that is live.
///
/// A replay is a cursor with an end, and a manifest that fixes the window. Both are durable: the same id after a crash or a
/// stop goes on where it stood, finishing an open batch with the bytes and under the id or name it has; after the end it
/// says so, and nothing is sent again. Its batches have ids of their own, since an id counts the cursor's name in. Mark them
/// for receivers with the sinks' own setting (`WebhookConfiguration.replay`, `ExportLayout.replay`).
///
/// Live cursors are not touched: a replay's cursor has a name no other can have, and nothing is shared but the log that is
/// read. While a replay is not done its cursor holds the records it still needs against retention, as any cursor does;
/// ``discard(_:in:)`` ends that.
public final class Replay: Sendable {
  public let settings: ReplaySettings
  private let store: any ReplayStore
  private let source: any RecordSource
  private let sink: any Sink
  private let dependencies: DeliveryDependencies
  private let observer: (@Sendable (ReplayObserverEvent) -> Void)?
  private let board: AsyncCondition<Board>
  private let hasRun = Atomic(false)

  private struct Board: Sendable {
    var manifest: ReplayManifest?
    var delivery: Delivery?
    /// Where the run found the cursor.
    var first: Offset?
    var startedAt: MonotonicInstant?
    var isStopping = false
  }

  /// Makes a replay; nothing happens before it is run.
  ///
  /// - Parameters:
  ///   - log: Where the records are, and the replay is kept.
  ///   - settings: Its id, window and pace.
  ///   - sink: The destination. The replay closes it when the run ends.
  ///   - clock: Measures waits.
  ///   - wallClock: Gives the time of day.
  ///   - random: 64 random bits for the jitter of retries.
  ///   - logger: Told of trouble and of gaps.
  ///   - observer: Told about every batch and every gap; must return soon.
  public convenience init(
    _ settings: ReplaySettings, of log: any ReplayStore & RecordSource, to sink: any Sink,
    clock: any DeliveryClock = SystemDeliveryClock(), wallClock: any WallClock = SystemWallClock(),
    random: @escaping @Sendable () -> UInt64 = Delivery.systemRandom,
    logger: Logger = Logger(label: "penstock.replay"), observer: (@Sendable (ReplayObserverEvent) -> Void)? = nil
  ) {
    self.init(
      settings, store: log, source: log, to: sink,
      dependencies: DeliveryDependencies(clock: clock, wallClock: wallClock, random: random, logger: logger),
      observer: observer)
  }

  init(
    _ settings: ReplaySettings, store: any ReplayStore, source: any RecordSource, to sink: any Sink,
    dependencies: DeliveryDependencies, observer: (@Sendable (ReplayObserverEvent) -> Void)?
  ) {
    self.settings = settings
    self.store = store
    self.source = source
    self.sink = sink
    self.dependencies = dependencies
    self.observer = observer
    board = AsyncCondition(Board())
  }

  /// Begins the replay or goes on with it, until the window is delivered, ``stop()``, graceful shutdown or cancellation.
  ///
  /// - Throws: ``ReplayError`` when the id has another window or destination, or records are lost that are not to be
  ///   skipped; ``DeliveryFailure`` as ``Delivery/run(untilCaughtUpWith:)`` does; `LogError`. The replay stays as it is, and
  ///   can be run again.
  public func run() async throws -> ReplayReport {
    guard !hasRun.exchange(true, ordering: .relaxed) else {
      throw ReplayError(.alreadyRun, "a Replay runs once; make another one")
    }
    return try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        let result: Result<ReplayReport, any Error>
        do { result = .success(try await replay()) } catch { result = .failure(error) }
        await sink.close()
        return try result.get()
      } onGracefulShutdown: {
        self.stop()
      }
    } onCancel: {
      self.stop()
    }
  }

  /// Lets the attempt in flight finish and begins no other. May be called at any time, more than once.
  public func stop() {
    let delivery = board.update { board in
      board.isStopping = true
      return board.delivery
    }
    delivery?.stop()
  }

  /// Ends a wait after trouble, as ``Delivery/retryNow()`` does.
  public func retryNow() { board.value.delivery?.retryNow() }

  /// How far it is. May be read at any time.
  public var progress: ReplayProgress {
    get async {
      let board = board.value
      return ReplayProgress(
        manifest: board.manifest, delivery: await board.delivery?.progress, first: board.first,
        elapsed: board.startedAt.map { dependencies.clock.now() - $0 })
    }
  }

  /// Removes a replay: its cursor, and what is known of it. Its id is free then, and what was sent under it is sent again if
  /// the same window is replayed under it.
  public static func discard(_ id: String, in store: any ReplayStore) async throws(LogError) {
    try await store.removeReplay(id, manifest: true)
  }

  // MARK: The run

  private func replay() async throws -> ReplayReport {
    let manifest: ReplayManifest
    let resolve = { [store] (window: ReplayWindow) throws(LogError) -> LogWindow in
      try store.window(from: window.from, to: window.to, untimed: window.untimed)
    }
    let found = try await store.replay(settings.id)
    switch try ReplayDecision.make(settings, destination: sink.description, found: found, resolve: resolve) {
    case .refuse(let code, let message): throw ReplayError(code, message)
    case .finished(let done): return try await finished(done)
    case .resume(let known):
      manifest = known
      try checkSink(known.events)
    case .begin(let window):
      try checkSink(window.events)
      let fixed = try resolve(window)
      manifest = try ReplayDecision.manifest(
        settings, window, fixed: fixed, destination: sink.description, durableEnd: await source.durableEnd,
        now: dependencies.wallClock.now())
      try await store.createReplay(manifest)
    }
    return try await deliver(manifest)
  }

  private func checkSink(_ events: EventWindow?) throws(ReplayError) {
    guard events != nil, !sink.appliesEventWindows else { return }
    throw ReplayError(
      .unsupported,
      "replay \(settings.id) is of a window of event times, and \(sink.description) cannot leave events out of a batch")
  }

  /// The cursor may still be there.
  private func finished(_ done: ReplayManifest) async throws(LogError) -> ReplayReport {
    board.update { $0.manifest = done }
    try await store.removeReplay(done.id, manifest: false)
    return ReplayReport(manifest: done, ending: .alreadyFinished, committed: done.end)
  }

  private func deliver(_ begun: ReplayManifest) async throws -> ReplayReport {
    let lease = try await store.replayLease(begun)
    // Another process may have ended it before this one got the cursor, which then began anew.
    var manifest = try await store.replay(begun.id) ?? begun
    if manifest.isFinished { return try await finished(manifest) }
    if let rate = settings.rate.map(ReplayManifest.Rate.init), rate != manifest.rate {
      manifest.rate = rate
      try await store.updateReplay(manifest)
    }
    let (known, first, now) = (manifest, await lease.state.committed, dependencies.clock.now())
    board.update { ($0.manifest, $0.first, $0.startedAt) = (known, first, now) }
    var totals = ReplayReport(manifest: manifest, ending: .stopped, committed: first)
    while true {
      let delivery = makeDelivery(lease, manifest)
      let isStopping = board.update { board in
        board.delivery = delivery
        return board.isStopping
      }
      if isStopping { delivery.stop() }
      let report: DeliveryReport
      do throws(DeliveryFailure) {
        report = try await delivery.run(untilCaughtUpWith: manifest.end)
      } catch {
        totals.add(await delivery.progress)
        try await pass(error, lease, &manifest)
        continue
      }
      totals.add(await delivery.progress)
      return try await end(report, manifest, totals)
    }
  }

  private func makeDelivery(_ lease: any ReplayLease, _ manifest: ReplayManifest) -> Delivery {
    var notices: (@Sendable (DeliveryObserverEvent) -> Void)?
    if let observer { notices = { observer(.delivery($0)) } }
    return Delivery(
      from: lease, source: source, to: UnownedSink(sink: sink, events: manifest.events), policy: settings.policy,
      retry: settings.retry, options: DeliveryOptions(rate: DeliveryRate(manifest.rate)), clock: dependencies.clock,
      wallClock: dependencies.wallClock,
      random: dependencies.random, logger: dependencies.logger,
      observer: notices)
  }

  private func end(
    _ report: DeliveryReport, _ manifest: ReplayManifest, _ totals: ReplayReport
  ) async throws(LogError) -> ReplayReport {
    var totals = totals
    var manifest = manifest
    totals.committed = report.end
    guard report.ending == .caughtUp else { return totals }
    manifest.finish(at: dependencies.wallClock.now())
    try await store.updateReplay(manifest)
    try await store.removeReplay(manifest.id, manifest: false)
    let done = manifest
    board.update { $0.manifest = done }
    totals.manifest = manifest
    totals.ending = .finished
    return totals
  }

  /// Passes a gap, if that is what stands in the way and it may; what stood before it is delivered.
  private func pass(
    _ failure: DeliveryFailure, _ lease: any ReplayLease, _ manifest: inout ReplayManifest
  ) async throws {
    guard failure.trouble.kind == .unreadable, let gap = (failure.cause as? LogError)?.gap else { throw failure }
    let state = await lease.state
    // Lost since they were gathered: gathered again, the batch ends before them.
    if gap.first > state.nextFirst { return }
    // What retention took must be acknowledged as it was told; anything else no further than the window reaches.
    let end = state.lost == nil ? min(gap.end, manifest.end) : gap.end
    guard settings.gaps == .skip else {
      throw ReplayError(
        .gap,
        "replay \(manifest.id): \(gap); run it again with gaps skipped to go on behind them", range: gap.first..<end)
    }
    let lost = state.givenUp(by: gap.first..<end)
    // A batch that cannot be sent again is skipped whole.
    manifest.skip(min(lost?.lowerBound ?? gap.first, gap.first)..<max(lost?.upperBound ?? end, end))
    let counted = manifest
    // Counted before it is passed: a crash in between tells the gap again, and it is counted once.
    try await store.updateReplay(counted)
    board.update { $0.manifest = counted }
    try await lease.acknowledge(Gap(first: gap.first, end: end, reason: gap.reason, path: gap.path))
    observer?(.skipped(gap))
    dependencies.logger.warning("replay skipped lost records", metadata: ["replay": "\(manifest.id)", "gap": "\(gap)"])
  }
}
