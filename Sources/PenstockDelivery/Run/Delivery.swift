import Logging
public import PenstockLog
public import ServiceLifecycle
import Synchronization

/// Delivers the records of a log to one destination, without end or until caught up: plan, intent, deliver, commit.
///
/// Over crashes and restarts, the destination gets every batch. It gets a batch again only under the same id and with
/// the same bytes. Batches arrive in the log's order, each after the one before is committed, unless
/// ``DeliveryOptions/maxInFlight`` allows more. ``Sink`` says what a destination has to do for exactly-once effects.
///
/// Deliveries share only the log they read: a destination that hangs or fails delays its own cursor and no other. A
/// delivery holds at most `maxInFlight` batches and their renderings in memory, two where it sends event by event. It
/// blocks no thread while it waits.
///
/// A delivery runs once. To run again, make another one.
public final class Delivery: Service {
  private let lease: any CursorLease
  private let source: any RecordSource
  private let sink: any Sink
  /// When batches are closed: the given policy, or the sink's own, within the sink's ``Sink/batchLimits``.
  public let policy: BatchPolicy
  private let environment: DeliveryEnvironment
  private let options: DeliveryOptions
  private let deadLetters: (any DeadLetterStore)?
  /// The newest attempts, during the run and after it.
  public let attempts: AttemptLog
  private let published: AsyncCondition<DeliveryProgress>
  private let commands = AsyncCondition(DeliveryCommands())
  private let hasRun = Atomic(false)

  /// Makes a delivery. It does nothing before it runs.
  ///
  /// - Parameters:
  ///   - lease: The cursor to move. No other holder may have it.
  ///   - source: The log of that cursor. The run throws when it is another log.
  ///   - sink: The destination. The delivery closes it when it ends.
  ///   - options: Batches, retries, batches in flight, rates, and what to do with rejected records.
  ///   - deadLetters: Stores records that the destination rejects or the sink cannot render. Nil: such a record halts
  ///     the destination.
  ///   - environment: Clocks, random bits, logger and observer, and where the attempts are kept.
  public init(
    from lease: any CursorLease, source: any RecordSource, to sink: any Sink,
    options: DeliveryOptions = DeliveryOptions(), deadLetters: (any DeadLetterStore)? = nil,
    environment: DeliveryEnvironment = DeliveryEnvironment()
  ) {
    self.lease = lease
    self.source = source
    self.sink = sink
    let wanted = options.policy ?? sink.batchPolicy
    let isSingle = sink.isSentEventByEvent
    policy = isSingle ? wanted.forSingleEvents : wanted.limited(to: sink.batchLimits)
    var options = options
    if !isSingle { options.maxInFlight = min(options.maxInFlight, CursorState.maxInFlight) }
    // Each entry of a manifest holds the hash of the one before, so that one must be there already.
    let isOneByOne = sink.recordsEveryRange && options.maxInFlight > 1
    if isOneByOne { options.maxInFlight = 1 }
    self.options = options
    self.deadLetters = deadLetters
    attempts = environment.attempts ?? AttemptLog()
    self.environment = environment
    let subject = DeliverySubject(lease, sink)
    if policy != wanted, !isSingle {
      environment.logger.notice(
        "the batch policy is lowered to the sink's limits",
        metadata: subject.metadata([
          "maxRecords": "\(wanted.maxRecords) to \(policy.maxRecords)",
          "maxBytes": "\(wanted.maxBytes) to \(policy.maxBytes)",
        ]))
    }
    if isOneByOne {
      environment.logger.notice(
        "maxInFlight is lowered to 1: the export has a manifest", metadata: subject.metadata())
    }
    published = AsyncCondition(DeliveryProgress(cursor: lease.name, destination: sink.description))
  }

  /// Makes a delivery with its own batch policy and otherwise the standard options.
  public convenience init(
    from lease: any CursorLease, source: any RecordSource, to sink: any Sink, policy: BatchPolicy,
    deadLetters: (any DeadLetterStore)? = nil, environment: DeliveryEnvironment = DeliveryEnvironment()
  ) {
    self.init(
      from: lease, source: source, to: sink, options: DeliveryOptions(policy: policy), deadLetters: deadLetters,
      environment: environment)
  }

  /// Delivers until graceful shutdown or cancellation.
  ///
  /// On a graceful shutdown or ``stop()``, the delivery finishes the attempts in flight, commits those that succeeded,
  /// and begins no other. Cancellation does the same, and also cancels the sink's task, so that the sink may end its
  /// attempt early. An undelivered batch stays open in the cursor; the next run finishes it first.
  ///
  /// The delivery waits trouble out. It retries after a backoff or, where an operator has to act, halts until
  /// ``retryNow()``. It skips no record. A record that the destination rejects, or the sink cannot render, becomes a
  /// dead letter if there is a dead-letter store.
  ///
  /// It does not return when it has caught up: for that, use ``run(untilCaughtUpWith:)``.
  ///
  /// - Returns: What it did until it was stopped.
  /// - Throws: ``DeliveryFailure`` when another holder takes the cursor, or the cursor cannot be written. Also when the
  ///   cursor belongs to another log than the source, and when this delivery has run before.
  @discardableResult
  public func run() async throws(DeliveryFailure) -> DeliveryReport { try await run(.service) }

  /// The same for `Service`, whose `run` returns nothing. Disfavoured, so that `let report = try await delivery.run()`
  /// is a report.
  @_disfavoredOverload
  public func run() async throws { _ = try await run(.service) }

  /// Delivers everything below `end` and returns. Sends partial batches where the log has no more records at present.
  ///
  /// Stops early, without an error, as ``run()`` does; see ``DeliveryReport/ending``.
  ///
  /// - Parameter end: One past the last record to deliver; nil for the durable end at the call. A batch that was open
  ///   before is finished even if it reaches past `end`. The delivery waits for an `end` that the log has not reached.
  /// - Throws: ``DeliveryFailure`` when the destination refuses or rejects, holds something else in the batch's place,
  ///   or failed for longer than ``RetryPolicy/giveUpAfter``; and as ``run()`` does.
  public func run(untilCaughtUpWith end: Offset?) async throws(DeliveryFailure) -> DeliveryReport {
    if let end { return try await run(.until(end)) }
    return try await run(.until(await source.durableEnd))
  }

  /// The progress of the delivery. The caller may read it at any time, also before and after the run.
  public var progress: DeliveryProgress {
    get async {
      var progress = published.value
      progress.end = max(progress.end, await source.durableEnd)
      if progress.activity == .idle { progress.committed = await lease.state.committed }
      return progress
    }
  }

  /// Pauses the destination. The pause is durable when this returns; it lasts over restarts, until ``resume()`` or
  /// `penstock cursor resume`. May be called at any time, also before and after the run. When the destination is paused
  /// already, the first pause stays.
  ///
  /// Attempts in flight are answered, and what they delivered is committed. The delivery begins and sends nothing else.
  /// An undelivered batch stays open in the cursor and is sent later under its id and with its bytes. A delivery that
  /// runs until it has caught up ends; see ``DeliveryReport/Ending/paused``. A pause does not change retention.
  ///
  /// - Parameter reason: For operators: one line of at most 256 bytes.
  /// - Throws: `.noSpace`: it is not paused. `.io`: it may be. `.illegalMove`: the lease keeps no pauses.
  public func pause(reason: String = "") async throws(LogError) {
    try await lease.setPause(CursorPause(since: environment.wallClock.now(), reason: reason))
    commands.update { $0.pauseChanged = true }
  }

  /// Resumes the destination durably, whatever process paused it; a delivery that runs here continues at once. Has no
  /// effect when not paused. A wait after trouble continues; ``retryNow()`` ends that.
  ///
  /// - Throws: `.io`: the destination may still be paused.
  public func resume() async throws(LogError) {
    try await lease.setPause(nil)
    commands.update { $0.pauseChanged = true }
  }

  /// Ends a wait after trouble, because an operator has fixed the cause or wants the next attempt now. Has no effect
  /// without such a wait, and does not end a pause.
  public func retryNow() { commands.update { $0.retry = true } }

  /// Stops as a graceful shutdown does. May be called at any time, more than once, also before the run.
  public func stop() { commands.update { $0.stop = true } }

  /// Waits until the published progress meets a condition. Returns false when the task is cancelled first.
  package func waitForProgress(_ condition: @escaping @Sendable (DeliveryProgress) -> Bool) async -> Bool {
    await published.wait(until: condition)
  }

  /// Returns when a stop or a shutdown has reached the delivery, which may still be finishing its work.
  package func untilStopping() async { _ = await commands.wait { $0.stop } }

  /// For a service, which keeps thousands of these calls: their frames hold no result.
  package func runInService() async throws {
    let shifts = await perform(.service)
    _ = try shifts.outcome().get()
  }

  private func run(_ mode: DeliveryState.Mode) async throws(DeliveryFailure) -> DeliveryReport {
    try await perform(mode).outcome().get()
  }

  /// Returns when the delivery has ended, with its outcome.
  private func perform(_ mode: DeliveryState.Mode) async -> DeliveryShifts {
    let shifts = await prepared(mode)
    guard shifts.mayRun else { return shifts }
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await shifts.run()
      } onGracefulShutdown: {
        self.stop()
      }
    } onCancel: {
      self.stop()
    }
    await close()
    return shifts
  }

  // Calls of their own, so that the frame of the call that waits is small.

  @inline(never)
  private func prepared(_ mode: DeliveryState.Mode) async -> DeliveryShifts {
    if hasRun.exchange(true, ordering: .relaxed) { return DeliveryShifts(failure: runTwice()) }
    if let failure = wrongLog() {
      await sink.close()
      return DeliveryShifts(failure: failure)
    }
    if let deadLetters { await inItsOwnTask { try? await deadLetters.prepare() } }
    if sink.acceptsCompressedFrames || policy.maxBytes > Batch.packedAbove { source.retainCompressedFrames() }
    let waiter = DeliveryWaiter(source: source, clock: environment.clock, commands: commands)
    return DeliveryShifts(waiter) { [self] in runner(mode, from: await lease.state) }
  }

  @inline(never)
  private func close() async {
    await sink.close()
    // The dead letters are durable already, so a failure to close their store changes nothing.
    try? await deadLetters?.close()
  }

  private func runTwice() -> DeliveryFailure {
    DeliveryFailure(
      DeliveryTrouble(.defect, "a Delivery runs once; make another one"), cursor: lease.name,
      destination: sink.description, range: nil, cause: nil)
  }

  private func wrongLog() -> DeliveryFailure? {
    guard let own = lease.logID, own != source.logID else { return nil }
    return DeliveryFailure(
      DeliveryTrouble(
        .wrongLog,
        "cursor \(lease.name) belongs to log \(own), and the source is log \(source.logID); nothing was sent. Give"
          + " the delivery the log of the cursor"),
      cursor: lease.name, destination: sink.description, range: nil, cause: nil)
  }

  private func runner(_ mode: DeliveryState.Mode, from cursor: CursorState) -> DeliveryRunner {
    DeliveryRunner(
      state: DeliveryState(
        cursor, mode: mode, retry: options.retry, options: options, writesDeadLetters: deadLetters != nil,
        sendsSingleEvents: sink.isSentEventByEvent,
        plansAhead: sink.plansAhead && !sink.recordsEveryRange && policy.maxBytes <= Batch.packedAbove),
      lease: lease, source: source, sink: sink, deadLetters: deadLetters, attempts: attempts,
      planner: BatchPlanner(policy: policy, takesPartialBatches: mode != .service), selection: sink.selection,
      environment: environment, progress: published, commands: commands)
  }
}
