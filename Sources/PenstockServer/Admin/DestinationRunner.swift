import Logging
import PenstockDelivery
import PenstockLog
import Synchronization

/// Runs one destination: one delivery after another, because a delivery runs once and a seek ends it.
///
/// An error that ends a delivery is stored and logged; it does not affect other destinations. The runner starts the
/// delivery again after 10 seconds, because most causes pass: a full disk, or a cursor that another process holds.
final class DestinationRunner: Sendable {
  private struct State {
    var delivery: Delivery?
    var cursor: Cursor?
    var meter: LagMeter
    var failure: Failure?
    var isStopping = false
    /// The position of the next delivery, and the caller of ``seek(to:givingUpBatches:)`` that waits for the result.
    var seek:
      (position: Position, givingUpBatches: Bool, promise: CheckedContinuation<Result<Offset, LogError>, Never>)?
  }
  let destination: ServiceDestination
  private let log: Log
  private let router: EventRouter
  private let retention: RetentionPolicy
  private let logger: Logger
  private let clock = SystemDeliveryClock()
  private let state: Mutex<State>
  /// Changes when the runner must wake up.
  private let turns = AsyncCondition(0)

  init(
    _ destination: ServiceDestination, _ log: Log, _ router: EventRouter, retention: RetentionPolicy, logger: Logger
  ) {
    self.destination = destination
    self.log = log
    self.router = router
    self.retention = retention
    self.logger = logger
    state = Mutex(State(meter: LagMeter(cursor: destination.name, thresholds: destination.options.thresholds)))
  }

  /// Delivers until ``stop()``.
  func run() async {
    while !state.withLock({ $0.isStopping }) {
      // Read before the delivery runs, so that a seek during a failing delivery ends the wait at once.
      let turn = turns.value
      do {
        try await runOnce()
        // A delivery ends without an error after a stop or a seek, and when the log is closed or has failed.
        guard state.withLock({ $0.isStopping || $0.seek != nil }) else { throw Ended() }
        state.withLock { $0.failure = nil }
      } catch {
        await waitAfter(error, turn)
      }
    }
    answerSeek(.failure(LogError(.closed, "the service is being shut down")))
  }

  // Calls of their own, so that the frame of the call that waits while a destination is idle is small.

  @inline(never)
  private func waitAfter(_ error: any Error, _ turn: Int) async {
    logger.error("the delivery ended", metadata: ["destination": "\(destination.name)", "error": "\(error)"])
    state.withLock { $0.failure = Failure(error) }
    let waiting = Task { [clock, turns] in
      try? await clock.sleep(until: clock.now() + .seconds(10))
      turns.update { $0 += 1 }
    }
    _ = await turns.wait { $0 != turn }
    waiting.cancel()
  }

  private struct Ended: Error, CustomStringConvertible {
    let description = "the delivery ended unexpectedly: the log was closed, or a write failed"
  }

  private func runOnce() async throws {
    // In a task of its own, whose memory is free afterwards. Nothing cancels either.
    let delivery = try await Task { try await self.prepared() }.value
    begin(delivery)
    defer { state.withLock { $0.delivery = nil } }
    try await delivery.runInService()
  }

  @inline(never)
  private func begin(_ delivery: Delivery) {
    let isStopping = state.withLock { state in
      state.delivery = delivery
      return state.isStopping || state.seek != nil
    }
    if isStopping { delivery.stop() }
  }

  @inline(never)
  private func prepared() async throws -> Delivery {
    let cursor: Cursor
    do throws(LogError) {
      cursor = try await log.cursor(named: destination.name, startingAt: destination.options.startAt)
    } catch {
      answerSeek(.failure(error))
      throw error
    }
    if let (position, givingUpBatches, _) = state.withLock({ $0.seek }) {
      do throws(LogError) {
        let former = cursor.state.committed
        try await cursor.seek(to: position, givingUpBatches: givingUpBatches)
        answerSeek(.success(former))
      } catch { answerSeek(.failure(error)) }
    }
    let delivery = try await destination.makeDelivery(cursor, log, router)
    state.withLock { $0.cursor = cursor }
    return delivery
  }

  private func answerSeek(_ result: Result<Offset, LogError>) {
    let promise = state.withLock { state in
      defer { state.seek = nil }
      return state.seek?.promise
    }
    promise?.resume(returning: result)
  }

  /// Waits for the attempt in flight, and starts no other.
  func stop() {
    let delivery = state.withLock { state in
      state.isStopping = true
      return state.delivery
    }
    delivery?.stop()
    turns.update { $0 += 1 }
  }

  /// Moves the cursor to any position in the log, and returns its former position. It waits for the attempt in flight.
  /// With `givingUpBatches`, a batch that is still open after that attempt is given up.
  ///
  /// - Throws: `LogError`: `illegalMove` when a batch stays open and is not given up, when another seek is in progress,
  ///   or when the service stops.
  func seek(to position: Position, givingUpBatches: Bool = false) async throws(LogError) -> Offset {
    let result: Result<Offset, LogError> = await withCheckedContinuation { promise in
      let (isRefused, delivery): (Bool, Delivery?) = state.withLock { state in
        if state.isStopping || state.seek != nil { return (true, nil) }
        state.seek = (position, givingUpBatches, promise)
        return (false, state.delivery)
      }
      if isRefused {
        promise.resume(
          returning: .failure(
            LogError(.illegalMove, "another seek is in progress, or the service is being shut down")))
      }
      delivery?.stop()
      turns.update { $0 += 1 }
    }
    return try result.get()
  }

  /// Pauses the destination durably, until it is resumed; also while no delivery runs, and across restarts.
  func pause(reason: String) async throws(LogError) {
    if let delivery = state.withLock({ $0.delivery }) { return try await delivery.pause(reason: reason) }
    try await log.setPause(
      CursorPause(since: SystemWallClock().now(), reason: reason), ofCursor: destination.name)
    // A delivery that started meanwhile may have looked for a pause before it was on disk. The first pause stays.
    if let delivery = state.withLock({ $0.delivery }) { try await delivery.pause(reason: reason) }
  }

  /// Resumes the destination durably. A running delivery has resumed when this returns, or `timeout` is over.
  func resume(timeout: Duration = .seconds(5)) async throws(LogError) {
    guard let delivery = state.withLock({ $0.delivery }) else {
      return try await log.setPause(nil, ofCursor: destination.name)
    }
    try await delivery.resume()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { _ = await delivery.waitForProgress { $0.activity != .paused } }
      group.addTask { [clock] in try? await clock.sleep(until: clock.now() + timeout) }
      await group.next()
      group.cancelAll()
    }
  }

  /// Retries now instead of waiting for the backoff; false when no delivery runs.
  func retryNow() -> Bool {
    guard let delivery = state.withLock({ $0.delivery }) else { return false }
    delivery.retryNow()
    return true
  }

  var attempts: [Attempt] {
    get async throws(LogError) {
      guard let list = state.withLock({ $0.delivery })?.attempts else { return [] }
      return try await log.view.offload(.short) { () throws(LogError) in list.attempts }
    }
  }
  /// Every record below this offset is delivered; nil before the first delivery.
  var committed: Offset? { state.withLock { $0.cursor }?.state.committed }
  var failure: Failure? { state.withLock { $0.failure } }
  var progress: DeliveryProgress? { get async { await state.withLock { $0.delivery }?.progress } }

  /// What is known of a destination at one moment; nil for each part that there is not, or that cannot be read.
  struct Facts: Sendable {
    var progress: DeliveryProgress?
    var snapshot: LagSnapshot?
    var pause: CursorPause?
  }

  /// The facts of all the runners of one log. Reads for each an index, at most one block, and the pause. All are read
  /// together, because on a busy disk each reading waits for a thread.
  static func facts(of runners: [DestinationRunner], at timeOfDay: Timestamp) async -> [Facts] {
    guard let log = runners.first?.log else { return [] }
    var known: [Facts] = []
    for runner in runners { known.append(Facts(progress: await runner.progress)) }
    let read = try? await log.view.offload(.short) { [known] () throws(LogError) in
      zip(runners, known).map { $0.read($1, at: timeOfDay) }
    }
    return read ?? known
  }

  func facts(at timeOfDay: Timestamp) async -> Facts {
    await Self.facts(of: [self], at: timeOfDay).first ?? Facts()
  }

  /// Blocks the calling thread.
  private func read(_ facts: Facts, at timeOfDay: Timestamp) -> Facts {
    var facts = facts
    facts.pause = try? log.pause(ofCursor: destination.name)
    guard let cursor = state.withLock({ $0.cursor }) else { return facts }
    facts.snapshot = try? log.lagSnapshot(
      of: cursor.state, retention: retention, progress: facts.progress, pause: facts.pause, at: clock.now(),
      timeOfDay: timeOfDay)
    return facts
  }

  /// The lag, with its text as `scope` may see it.
  func lag(_ facts: Facts, for scope: RedactionScope = .company) -> Lag? {
    guard var snapshot = facts.snapshot else { return nil }
    // Only the text shows it, and it quotes the destination.
    if scope == .oneApp { snapshot.trouble = nil }
    let inputs = snapshot
    return state.withLock { $0.meter.observe(inputs) }
  }
}
