import Logging
import PenstockDelivery
import PenstockLog
import Synchronization

/// Runs one destination: one delivery after the other, because a delivery runs once, and a seek ends it.
///
/// Trouble that ends a delivery is kept and told; it holds up nothing else. It is begun again after a while, since most of what
/// ends one (a full disk, a cursor held elsewhere) passes.
final class DestinationRunner: Sendable {
  private struct State {
    var delivery: Delivery?
    var cursor: Cursor?
    var meter: LagMeter
    var failure: Failure?
    var isStopping = false
    /// Where the cursor is to be put before the next delivery, and who waits for that.
    var seek: (place: Position, promise: CheckedContinuation<Result<Offset, LogError>, Never>)?
  }
  /// Why the last delivery ended.
  struct Failure: Sendable, Hashable {
    let words: String
    /// The same in a word, none of it a destination's.
    let kind: String

    init(_ error: any Error) {
      words = "\(error)"
      kind =
        switch error {
        case let failure as DeliveryFailure: failure.trouble.kind.rawValue
        case let error as LogError: error.code.description
        default: "failed"
        }
    }
  }
  let destination: ServiceDestination
  private let log: Log
  private let retention: RetentionPolicy
  private let logger: Logger
  private let clock = SystemDeliveryClock()
  private let state: Mutex<State>
  /// Changes whenever there is something new to look at.
  private let turns = AsyncCondition(0)

  init(_ destination: ServiceDestination, _ log: Log, retention: RetentionPolicy, logger: Logger) {
    self.destination = destination
    self.log = log
    self.retention = retention
    var logger = logger
    logger[metadataKey: "destination"] = "\(destination.name)"
    self.logger = logger
    state = Mutex(State(meter: LagMeter(cursor: destination.name, thresholds: destination.thresholds)))
  }

  /// Delivers until ``stop()``.
  func run() async {
    while !state.withLock({ $0.isStopping }) {
      // Before it runs: a seek that comes while it fails is not waited over.
      let turn = turns.value
      do {
        try await runOnce()
        // It ends when it is stopped, for the service's end or a seek, or on a log that takes nothing any more.
        guard state.withLock({ $0.isStopping || $0.seek != nil }) else { throw Ended() }
        state.withLock { $0.failure = nil }
      } catch {
        logger.error("the delivery ended", metadata: ["error": "\(error)"])
        state.withLock { $0.failure = Failure(error) }
        let waiting = Task { [clock, turns] in
          try? await clock.sleep(until: clock.now() + .seconds(10))
          turns.update { $0 += 1 }
        }
        _ = await turns.wait { $0 != turn }
        waiting.cancel()
      }
    }
    answerSeek(.failure(LogError(.closed, "the service is being shut down")))
  }

  private struct Ended: Error, CustomStringConvertible {
    let description = "it ended by itself: the log was closed, or takes nothing since a failed write"
  }

  private func runOnce() async throws {
    let cursor: Cursor
    do throws(LogError) { cursor = try await log.cursor(named: destination.name) } catch {
      answerSeek(.failure(error))
      throw error
    }
    if let place = state.withLock({ $0.seek?.place }) {
      do throws(LogError) {
        let former = cursor.state.committed
        try await cursor.seek(to: place)
        answerSeek(.success(former))
      } catch { answerSeek(.failure(error)) }
    }
    let delivery = try await destination.makeDelivery(cursor, log)
    let isStopping = state.withLock { state in
      (state.delivery, state.cursor) = (delivery, cursor)
      return state.isStopping || state.seek != nil
    }
    if isStopping { delivery.stop() }
    defer { state.withLock { $0.delivery = nil } }
    try await delivery.run()
  }

  private func answerSeek(_ result: Result<Offset, LogError>) {
    let promise = state.withLock { state in
      defer { state.seek = nil }
      return state.seek?.promise
    }
    promise?.resume(returning: result)
  }

  /// Lets the attempt in flight finish, and begins no other.
  func stop() {
    let delivery = state.withLock { state in
      state.isStopping = true
      return state.delivery
    }
    delivery?.stop()
    turns.update { $0 += 1 }
  }

  /// Puts the cursor anywhere in the log, and returns where it stood. The attempt in flight is awaited; a batch that stays open refuses
  /// the seek.
  func seek(to place: Position) async throws(LogError) -> Offset {
    let result: Result<Offset, LogError> = await withCheckedContinuation { promise in
      let (isRefused, delivery): (Bool, Delivery?) = state.withLock { state in
        if state.isStopping || state.seek != nil { return (true, nil) }
        state.seek = (place, promise)
        return (false, state.delivery)
      }
      if isRefused {
        promise.resume(returning: .failure(LogError(.illegalMove, "another seek, or the end, is under way")))
      }
      delivery?.stop()
      turns.update { $0 += 1 }
    }
    return try result.get()
  }

  /// Pauses the destination, durably, until it is resumed; also while no delivery runs, and over restarts.
  func pause(reason: String) async throws(LogError) {
    if let delivery = state.withLock({ $0.delivery }) { return try await delivery.pause(reason: reason) }
    try await log.setPause(
      CursorPause(since: SystemWallClock().now(), reason: reason), ofCursor: destination.name)
  }

  /// Takes a pause off, whoever put it on. Where a delivery runs, it has taken that up when this returns, or `patience`
  /// is over.
  func resume(patience: Duration = .seconds(5)) async throws(LogError) {
    guard let delivery = state.withLock({ $0.delivery }) else {
      return try await log.setPause(nil, ofCursor: destination.name)
    }
    try await delivery.resume()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { _ = await delivery.waitForProgress { $0.activity != .paused } }
      group.addTask { [clock] in try? await clock.sleep(until: clock.now() + patience) }
      await group.next()
      group.cancelAll()
    }
  }

  /// The pause as it is on the disk; nil where there is none, or that cannot be seen.
  var pause: CursorPause? { try? log.pause(ofCursor: destination.name) }

  /// Ends a wait after trouble; false when no delivery runs.
  func retryNow() -> Bool {
    guard let delivery = state.withLock({ $0.delivery }) else { return false }
    delivery.retryNow()
    return true
  }

  var attempts: [Attempt] { state.withLock { $0.delivery }?.attempts.attempts ?? [] }
  /// Everything below is delivered; nil before the first delivery.
  var committed: Offset? { state.withLock { $0.cursor }?.state.committed }
  var failure: Failure? { state.withLock { $0.failure } }
  var progress: DeliveryProgress? { get async { await state.withLock { $0.delivery }?.progress } }

  /// How far behind it is, in words for `audience`. Reads an index, and at most one block.
  func lag(_ progress: DeliveryProgress?, at timeOfDay: Timestamp, for audience: RedactionScope = .company) -> Lag? {
    guard let cursor = state.withLock({ $0.cursor }) else { return nil }
    let now = clock.now()
    guard
      var facts = try? log.lagSnapshot(
        of: cursor.state, retention: retention, progress: progress, pause: pause, at: now, timeOfDay: timeOfDay)
    else { return nil }
    // It is in the words alone, with what the destination said.
    if audience == .oneApp { facts.trouble = nil }
    return state.withLock { $0.meter.observe(facts) }
  }
}
