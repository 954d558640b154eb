public import Logging
public import PenstockLog
import ServiceLifecycle
import Synchronization

/// Delivers a window of the log again, to any sink, while live deliveries continue.
///
/// A replay is a cursor with an end, and a manifest that fixes the window. Both are durable. After a crash or a stop, a
/// replay with the same id continues at its position. It finishes an open batch with the same bytes, under the same id
/// or name. After the end it reports that it is finished and sends nothing again. Its batches have ids of their own,
/// because an id includes the cursor's name. The sinks' own setting marks them for receivers
/// (`WebhookConfiguration.replay`, `ExportLayout.replay`).
///
/// A replay does not touch live cursors: no other cursor can have its cursor's name, and they share only the log. Until
/// the replay is finished, its cursor protects the records it still needs from retention, as any cursor does.
/// ``discard(_:in:)`` ends that.
///
/// A `Replay` runs once. To continue a replay, make another one with the same id.
public final class Replay: Sendable {
  /// What the replay was given.
  public let settings: ReplaySettings
  private let store: any ReplayStore
  private let source: any RecordSource
  private let sink: any Sink
  private let environment: DeliveryEnvironment
  private let observer: (@Sendable (ReplayObserverEvent) -> Void)?
  private let runState: AsyncCondition<RunState>
  private let hasRun = Atomic(false)

  private struct RunState: Sendable {
    var manifest: ReplayManifest?
    var delivery: Delivery?
    /// The cursor's position when the run began.
    var first: Offset?
    var startedAt: MonotonicInstant?
    var isStopping = false
  }

  /// Makes a replay. It does nothing before it runs.
  ///
  /// - Parameters:
  ///   - settings: The id, window and rate of the replay.
  ///   - log: Holds the records and the replay.
  ///   - sink: The destination. The replay closes it when the run ends.
  ///   - environment: Clocks, random bits and logger, for all batches of the replay.
  ///   - observer: Called with every event of a batch and every gap; must return soon.
  public convenience init(
    _ settings: ReplaySettings, of log: any ReplayStore & RecordSource, to sink: any Sink,
    environment: DeliveryEnvironment = DeliveryEnvironment(logger: Logger(label: "penstock.replay")),
    observer: (@Sendable (ReplayObserverEvent) -> Void)? = nil
  ) {
    self.init(settings, store: log, source: log, to: sink, environment: environment, observer: observer)
  }

  init(
    _ settings: ReplaySettings, store: any ReplayStore, source: any RecordSource, to sink: any Sink,
    environment: DeliveryEnvironment, observer: (@Sendable (ReplayObserverEvent) -> Void)?
  ) {
    self.settings = settings
    self.store = store
    self.source = source
    self.sink = sink
    self.environment = environment
    self.observer = observer
    runState = AsyncCondition(RunState())
  }

  /// Starts or resumes the replay. Returns when the window is delivered, and on ``stop()``, graceful shutdown or
  /// cancellation.
  ///
  /// - Throws: ``ReplayError`` when the id has another window or destination, when records are lost and the settings do
  ///   not skip them, or when this `Replay` has run before. ``DeliveryFailure`` as ``Delivery/run(untilCaughtUpWith:)``
  ///   does. `LogError` when the log or the replay's files cannot be read or written. The replay itself is unchanged
  ///   and can be resumed.
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

  /// Finishes the attempts in flight and begins no other. May be called at any time, more than once.
  public func stop() {
    let delivery = runState.update { run in
      run.isStopping = true
      return run.delivery
    }
    delivery?.stop()
  }

  /// Ends a wait after trouble, as ``Delivery/retryNow()`` does.
  public func retryNow() { runState.value.delivery?.retryNow() }

  /// The progress of the replay. May be read at any time.
  public var progress: ReplayProgress {
    get async {
      let run = runState.value
      return ReplayProgress(
        manifest: run.manifest, delivery: await run.delivery?.progress, first: run.first,
        elapsed: run.startedAt.map { environment.clock.now() - $0 })
    }
  }

  /// Removes a replay: its cursor and its manifest, durably. Its id is free then. A new replay of the same window under
  /// this id sends the same batches again.
  public static func discard(_ id: String, in store: any ReplayStore) async throws(LogError) {
    try await store.removeReplay(id, manifest: true)
  }

  // MARK: The run

  private func replay() async throws -> ReplayReport {
    let manifest: ReplayManifest
    let resolve = { @Sendable [store] (window: ReplayWindow) throws(LogError) -> LogWindow in
      try store.window(from: window.from, to: window.to, untimed: window.untimed)
    }
    let found = try await store.replay(settings.id)
    let decision = try await store.offload { [settings, destination = sink.description] () throws(LogError) in
      try ReplayDecision.make(settings, destination: destination, found: found, resolve: resolve)
    }
    switch decision {
    case .refuse(let code, let message): throw ReplayError(code, message)
    case .finished(let done): return try await finished(done)
    case .resume(let known):
      manifest = known
      try checkSink(known.events)
    case .begin(let window):
      try checkSink(window.events)
      let fixed = try await store.offload { () throws(LogError) in try resolve(window) }
      manifest = try ReplayDecision.manifest(
        settings, window, fixed: fixed, destination: sink.description, durableEnd: await source.durableEnd,
        now: environment.wallClock.now())
      try await store.createReplay(manifest)
    }
    return try await deliver(manifest)
  }

  private func checkSink(_ events: EventWindow?) throws(ReplayError) {
    guard events != nil, !sink.appliesEventWindows else { return }
    throw ReplayError(
      .unsupported,
      "replay \(settings.id) has a window of event times, and \(sink.description) cannot leave events out of a batch")
  }

  /// Removes the cursor, which an earlier run may have left.
  private func finished(_ done: ReplayManifest) async throws(LogError) -> ReplayReport {
    runState.update { $0.manifest = done }
    try await store.removeReplay(done.id, manifest: false)
    return ReplayReport(manifest: done, ending: .alreadyFinished, committed: done.end)
  }

  private func deliver(_ begun: ReplayManifest) async throws -> ReplayReport {
    let lease = try await store.replayLease(begun)
    // Another process may have finished the replay before this one took the cursor, which then started over.
    var manifest = try await store.replay(begun.id) ?? begun
    if manifest.isFinished { return try await finished(manifest) }
    if let rate = settings.rate.map(ReplayManifest.Rate.init), rate != manifest.rate {
      manifest.rate = rate
      try await store.updateReplay(manifest)
    }
    let (known, first, now) = (manifest, await lease.state.committed, environment.clock.now())
    runState.update { ($0.manifest, $0.first, $0.startedAt) = (known, first, now) }
    var totals = ReplayReport(manifest: manifest, ending: .stopped, committed: first)
    while true {
      let delivery = makeDelivery(lease, manifest)
      let isStopping = runState.update { run in
        run.delivery = delivery
        return run.isStopping
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
    var environment = environment
    if let observer {
      let ownObserver = environment.observer
      environment.observer = {
        ownObserver?($0)
        observer(.delivery($0))
      }
    }
    return Delivery(
      from: lease, source: source, to: UnownedSink(sink: sink, events: manifest.events),
      options: DeliveryOptions(policy: settings.policy, retry: settings.retry, rate: DeliveryRate(manifest.rate)),
      environment: environment)
  }

  private func end(
    _ report: DeliveryReport, _ manifest: ReplayManifest, _ totals: ReplayReport
  ) async throws(LogError) -> ReplayReport {
    var totals = totals
    var manifest = manifest
    totals.committed = report.end
    guard report.ending == .caughtUp else { return totals }
    manifest.finish(at: environment.wallClock.now())
    try await store.updateReplay(manifest)
    try await store.removeReplay(manifest.id, manifest: false)
    let done = manifest
    runState.update { $0.manifest = done }
    totals.manifest = manifest
    totals.ending = .finished
    return totals
  }

  /// Passes a gap, if the failure is one and the settings skip gaps. The records before it are delivered already.
  private func pass(
    _ failure: DeliveryFailure, _ lease: any ReplayLease, _ manifest: inout ReplayManifest
  ) async throws {
    guard failure.trouble.kind == .unreadable, let gap = (failure.cause as? LogError)?.gap else { throw failure }
    let state = await lease.state
    // Records that were lost after they were accumulated: accumulated again, the batch ends before them.
    if gap.first > state.nextFirst { return }
    // A loss to retention is acknowledged whole; any other gap only as far as the window reaches.
    let end = state.lost == nil ? min(gap.end, manifest.end) : gap.end
    guard settings.gaps == .skip else {
      throw ReplayError(
        .gap,
        "replay \(manifest.id): \(gap); run it again with gaps skipped to continue after them", range: gap.first..<end)
    }
    let lost = state.givenUp(by: gap.first..<end)
    // A batch that cannot be sent again is skipped whole.
    manifest.skip(min(lost?.lowerBound ?? gap.first, gap.first)..<max(lost?.upperBound ?? end, end))
    let counted = manifest
    // Counted before it is passed. After a crash in between, the gap is reported again and counted once.
    try await store.updateReplay(counted)
    runState.update { $0.manifest = counted }
    try await lease.acknowledge(Gap(first: gap.first, end: end, reason: gap.reason, path: gap.path))
    observer?(.skipped(gap))
    environment.logger.warning("replay skipped lost records", metadata: ["replay": "\(manifest.id)", "gap": "\(gap)"])
  }
}
