public import Logging
public import PenstockLog
public import ServiceLifecycle
import Synchronization

/// Brings the records of a log to one destination: plan, intent, deliver, commit, for ever or until caught up.
///
/// Whatever happens in between, a crash included, the destination gets every batch; gets a batch again only under the
/// same id and with the same bytes; and gets batches in the log's order, each after the one before is committed (unless
/// ``DeliveryOptions/maxInFlight`` allows more). What that makes of a destination is said in ``Sink``.
///
/// Deliveries share nothing but the log they read: a destination that hangs or fails holds up its own cursor, no other.
/// One delivery holds at most `maxInFlight` batches and their renderings in memory. It runs once; to run again, make another one.
public final class Delivery: Service {
  private let lease: any CursorLease
  private let source: any RecordSource
  private let sink: any Sink
  /// When its batches are closed: the policy it was given, or the sink's own, within the sink's ``Sink/batchLimits``.
  public let policy: BatchPolicy
  private let retry: RetryPolicy
  private let dependencies: DeliveryDependencies
  private let options: DeliveryOptions
  private let deadLetters: (any DeadLetterStore)?
  /// The newest attempts, while it runs and after.
  public let attempts: AttemptLog
  private let observer: (@Sendable (DeliveryObserverEvent) -> Void)?
  private let board: AsyncCondition<DeliveryProgress>
  private let commands = AsyncCondition(DeliveryCommands())
  private let hasRun = Atomic(false)

  /// Makes a delivery; nothing happens before it is run.
  ///
  /// - Parameters:
  ///   - lease: The cursor that moves. Its holder must hold it alone.
  ///   - source: The log of that cursor; running the delivery with another log is refused.
  ///   - sink: The destination. The delivery closes it when it ends.
  ///   - policy: When a batch is closed; nil for the sink's own ``Sink/batchPolicy``. What the sink cannot do is left
  ///     out, and the logger is told; see ``policy``.
  ///   - retry: How long each wait after trouble is.
  ///   - options: Batches in flight, rates, and what is done about records that are rejected.
  ///   - deadLetters: Where records go that the destination rejects or the sink cannot render; nil: such a record halts the
  ///     destination.
  ///   - attempts: Keeps the newest attempts; by default 100, in memory.
  ///   - clock: Measures waits.
  ///   - wallClock: Gives the time of day for intents and for people; decides when a boundary has passed.
  ///   - random: 64 random bits for the jitter of retries.
  ///   - logger: Told of trouble and pauses and, at the level debug, of each batch.
  ///   - observer: Told about every batch; see ``DeliveryObserverEvent``.
  public init(
    from lease: any CursorLease, source: any RecordSource, to sink: any Sink, policy: BatchPolicy? = nil,
    retry: RetryPolicy = RetryPolicy(), options: DeliveryOptions = DeliveryOptions(),
    deadLetters: (any DeadLetterStore)? = nil, attempts: AttemptLog = AttemptLog(),
    clock: any DeliveryClock = SystemDeliveryClock(),
    wallClock: any WallClock = SystemWallClock(), random: @escaping @Sendable () -> UInt64 = Delivery.systemRandom,
    logger: Logger = Logger(label: "penstock.delivery"), observer: (@Sendable (DeliveryObserverEvent) -> Void)? = nil
  ) {
    self.lease = lease
    self.source = source
    self.sink = sink
    let wanted = policy ?? sink.batchPolicy
    self.policy = wanted.limited(to: sink.batchLimits)
    self.retry = retry
    self.options = options
    self.deadLetters = deadLetters
    self.attempts = attempts
    self.observer = observer
    var logger = logger
    logger[metadataKey: "cursor"] = "\(lease.name)"
    logger[metadataKey: "destination"] = "\(sink.description)"
    if self.policy != wanted {
      logger.notice(
        "the batch policy is limited to what the sink can do",
        metadata: [
          "maxRecords": "\(wanted.maxRecords) to \(self.policy.maxRecords)",
          "maxBytes": "\(wanted.maxBytes) to \(self.policy.maxBytes)",
        ])
    }
    dependencies = DeliveryDependencies(clock: clock, wallClock: wallClock, random: random, logger: logger)
    board = AsyncCondition(DeliveryProgress(cursor: lease.name, destination: sink.description))
  }

  /// 64 bits of the operating system's generator.
  public static let systemRandom: @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }

  /// Delivers until graceful shutdown or cancellation.
  ///
  /// A graceful shutdown lets the attempt in flight finish, commits it if it succeeded, and begins no other; so does
  /// ``stop()``. Cancellation does the same, and the sink sees it, so that it may break the attempt off. What is then not
  /// delivered stays open in the cursor and is the first thing the next run does. Trouble is waited out: retried after a
  /// backoff, or, where a person is needed, held until ``retryNow()``. No record is skipped; one that the destination rejects, or that cannot
  /// be rendered, becomes a dead letter, where a place for them is given.
  ///
  /// It does not return because it has caught up: for that, use ``run(untilCaughtUpWith:)``.
  ///
  /// - Returns: What it did until it was stopped.
  /// - Throws: ``DeliveryFailure`` when another holder has taken the cursor, when the cursor cannot be written, or when
  ///   it is a cursor of another log than the source.
  @discardableResult
  public func run() async throws(DeliveryFailure) -> DeliveryReport { try await run(.service) }

  /// The same as a `Service`, whose `run` returns nothing. Disfavoured, so that `let report = try await delivery.run()`
  /// is a report.
  @_disfavoredOverload
  public func run() async throws { _ = try await run(.service) }

  /// Delivers everything below `end`, in partial batches where the log has no more at present, and returns.
  ///
  /// Stops early, without an error, as ``run()`` does; see ``DeliveryReport/ending``.
  ///
  /// - Parameter end: One past the last record to deliver; nil for the durable end at the call. A batch that was open
  ///   before is finished even if it goes on past `end`. An `end` that the log has not reached yet is waited for.
  /// - Throws: ``DeliveryFailure``: the destination refuses or rejects, has something else in the batch's place, or failed
  ///   for longer than ``RetryPolicy/giveUpAfter``; or as ``run()``.
  public func run(untilCaughtUpWith end: Offset?) async throws(DeliveryFailure) -> DeliveryReport {
    if let end { return try await run(.until(end)) }
    return try await run(.until(await source.durableEnd))
  }

  /// How far it is. May be read at any time, also before and after the run.
  public var progress: DeliveryProgress {
    get async {
      var progress = board.value
      progress.end = max(progress.end, await source.durableEnd)
      if progress.activity == .idle { progress.committed = await lease.state.committed }
      return progress
    }
  }

  /// Pauses the destination: durable when it returns, over restarts, until ``resume()`` or `penstock cursor resume`. May be
  /// called at any time, also before and after the run, or more than once; the first pause stands.
  ///
  /// Attempts under way are answered, and what they delivered is committed. Nothing else is begun or sent: a batch that is not
  /// delivered stays open in the cursor, and goes on under its id and with its bytes. A delivery that was to run until it has
  /// caught up ends; see ``DeliveryReport/Ending/paused``. Retention goes on as without a pause.
  ///
  /// - Parameter reason: For people: one line of at most 256 bytes.
  /// - Throws: `.noSpace`: it is not paused. `.io`: it may be. `.illegalMove`: the lease keeps no pauses.
  public func pause(reason: String = "") async throws(LogError) {
    try await lease.setPause(CursorPause(since: dependencies.wallClock.now(), reason: reason))
    commands.update { $0.pauseChanged = true }
  }

  /// Takes a pause off, durably, whoever put it on; at once where this delivery runs. Without a pause, nothing. A wait after trouble goes on;
  /// ``retryNow()`` ends that.
  ///
  /// - Throws: `.io`: the destination may be paused still.
  public func resume() async throws(LogError) {
    try await lease.setPause(nil)
    commands.update { $0.pauseChanged = true }
  }

  /// Ends a wait after trouble: a person has put something right, or wants the next try now. Without such a wait, nothing; it does
  /// not end a pause.
  public func retryNow() { commands.update { $0.retry = true } }

  /// Stops as a graceful shutdown does. May be called at any time, more than once, also before the run.
  public func stop() { commands.update { $0.stop = true } }

  /// Waits until the progress, as the delivery itself publishes it, is as described; false when cancelled first.
  package func waitForProgress(_ condition: @escaping @Sendable (DeliveryProgress) -> Bool) async -> Bool {
    await board.wait(until: condition)
  }

  /// Returns when a stop or a shutdown has reached the delivery, which goes on with what it is at.
  package func untilStopping() async { _ = await commands.wait { $0.stop } }

  private func run(_ mode: DeliveryState.Mode) async throws(DeliveryFailure) -> DeliveryReport {
    guard !hasRun.exchange(true, ordering: .relaxed) else {
      throw DeliveryFailure(
        DeliveryTrouble(.defect, "a Delivery runs once; make another one"), cursor: lease.name,
        destination: sink.description, range: nil, cause: nil)
    }
    if let own = lease.logID, own != source.logID {
      await sink.close()
      throw DeliveryFailure(
        DeliveryTrouble(
          .wrongLog,
          "cursor \(lease.name) is of log \(own), and the source is log \(source.logID); nothing was sent. Give the"
            + " delivery the log that the cursor was taken from"),
        cursor: lease.name, destination: sink.description, range: nil, cause: nil)
    }
    try? await deadLetters?.prepare()
    if sink.acceptsCompressedFrames || policy.maxBytes > Batch.packedAbove { source.retainCompressedFrames() }
    var runner = DeliveryRunner(
      state: DeliveryState(
        await lease.state, mode: mode, retry: retry, options: options, writesDeadLetters: deadLetters != nil),
      lease: lease, source: source, sink: sink, deadLetters: deadLetters, attempts: attempts,
      planner: BatchPlanner(policy: policy, takesPartialBatches: mode != .service), dependencies: dependencies,
      observer: observer,
      board: board, commands: commands)
    let result = await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await runner.run()
      } onGracefulShutdown: {
        self.stop()
      }
    } onCancel: {
      self.stop()
    }
    await sink.close()
    // What was deadLettered is durable; a failure to let go of the place changes nothing about that.
    try? await deadLetters?.close()
    return try result.get()
  }
}

/// What a person or a shutdown wants of a running delivery.
struct DeliveryCommands: Sendable {
  var stop = false
  var retry = false
  /// The pause is to be looked at.
  var pauseChanged = false
  /// What came of attempts, not taken up yet.
  var answers: [DeliveryAnswer] = []
}

/// What came of an attempt that was made beside everything else.
struct DeliveryAnswer: Sendable {
  let intent: Intent
  let attempt: Int
  /// Its number in the ``AttemptLog``.
  let number: UInt64
  let outcome: DeliveryOutcome
  let start: MonotonicInstant
  let end: MonotonicInstant
}

/// Everything a delivery takes from the world besides log, cursor and sink.
struct DeliveryDependencies: Sendable {
  let clock: any DeliveryClock
  let wallClock: any WallClock
  let random: @Sendable () -> UInt64
  let logger: Logger
}
