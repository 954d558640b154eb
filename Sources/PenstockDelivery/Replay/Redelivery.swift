public import Logging
public import PenstockLog
import Synchronization

/// What a redelivery has done.
public struct RedeliveryReport: Sendable, Hashable {
  /// A letter that was rejected again. It stays where it is, and was passed.
  public struct Rejected: Sendable, Hashable {
    public let number: Offset
    public let reason: String
  }

  public var delivered = 0
  public var attempts = 0
  public var rejected: [Rejected] = []
  /// Nil while it goes on.
  public var ending: DeliveryReport.Ending?
}

/// Brings a cursor's dead letters to a destination once more: the original bytes, in the order in which they were given up.
///
/// How far it came is kept with the letters, for each destination: the next one goes on there, and a crash costs at most what any
/// delivery may send twice, under the same id. A letter that is rejected again is passed and told. No letter is removed.
///
/// Of ``RedeliveryScope/one(_:)`` nothing is kept: sent again, it has the same id and the same bytes, so a receiver that knows it leaves it out.
/// A pause of the destination does not hold it: who asks for it means it.
public final class Redelivery: Sendable {
  private let scope: RedeliveryScope
  private let cursor: String
  private let letters: DeadLetters
  private let destination: String
  private let sink: any Sink
  private let policy: BatchPolicy?
  private let retry: RetryPolicy
  private let options: DeliveryOptions
  private let clock: any DeliveryClock
  private let wallClock: any WallClock
  private let logger: Logger
  private let kept: RejectionRecorder
  private struct State {
    var delivery: Delivery?
    var isStopping = false
    var ending: DeliveryReport.Ending?
  }
  private let state = Mutex(State())
  private let hasRun = Atomic(false)

  /// Makes a redelivery; nothing happens before it is run.
  ///
  /// - Parameters:
  ///   - scope: Which of them.
  ///   - cursor: Whose letters.
  ///   - letters: The place they are kept in.
  ///   - sink: The destination, marking what it sends with ``RedeliveryScope/mark``. The redelivery closes it when the run ends.
  ///   - destination: The destination's name, which its place among the letters is called by.
  ///   - policy: When a batch is closed; nil for the sink's own ``Sink/batchPolicy``.
  ///   - retry: With ``RetryPolicy/giveUpAfter``, or trouble is waited out for ever.
  ///   - options: Batches in flight and rates.
  ///   - clock: Measures waits.
  ///   - wallClock: Gives the time of day.
  ///   - logger: Told of trouble.
  ///   - onRejected: Called for each letter that is rejected again; must return soon.
  public init(
    _ scope: RedeliveryScope = .remaining, of cursor: String, in letters: DeadLetters, to sink: any Sink,
    named destination: String, policy: BatchPolicy? = nil, retry: RetryPolicy = RetryPolicy(),
    options: DeliveryOptions = DeliveryOptions(), clock: any DeliveryClock = SystemDeliveryClock(),
    wallClock: any WallClock = SystemWallClock(), logger: Logger = Logger(label: "penstock.redelivery"),
    onRejected: @escaping @Sendable (RedeliveryReport.Rejected) -> Void = { _ in }
  ) {
    self.scope = scope
    self.cursor = cursor
    self.letters = letters
    self.sink = sink
    self.destination = destination
    self.policy = policy
    self.retry = retry
    self.options = options
    self.clock = clock
    self.wallClock = wallClock
    self.logger = logger
    kept = RejectionRecorder(onRejected)
  }

  /// Delivers what there was at the call, until ``stop()``, graceful shutdown or cancellation.
  ///
  /// - Throws: `LogError` (`.unknownCursor`: there is no such letter; `.cursorHeld`: another redelivery to this destination goes on),
  ///   ``DeliveryFailure`` as ``Delivery/run(untilCaughtUpWith:)`` does.
  public func run() async throws -> RedeliveryReport {
    precondition(!hasRun.exchange(true, ordering: .relaxed), "a Redelivery runs once; make another one")
    let delivery: Delivery
    let end: Offset
    let source: DeadLetterSource
    do {
      guard let found = try await letters.source(of: cursor) else { throw Self.noLetter(cursor) }
      source = found
    } catch {
      await sink.close()
      throw error
    }
    defer { source.close() }
    do {
      let lease: any CursorLease
      (lease, end) = try await take(from: source)
      delivery = makeDelivery(lease, source)
    } catch {
      await sink.close()
      throw error
    }
    let isStopping = state.withLock { state in
      state.delivery = delivery
      return state.isStopping
    }
    if isStopping { delivery.stop() }
    let ending = try await delivery.run(untilCaughtUpWith: end).ending
    state.withLock { $0.ending = ending }
    return await report
  }

  /// Lets the attempt in flight finish and begins no other. May be called at any time, more than once.
  public func stop() {
    let delivery = state.withLock { state in
      state.isStopping = true
      return state.delivery
    }
    delivery?.stop()
  }

  /// What it has done so far. May be read at any time.
  public var report: RedeliveryReport {
    get async {
      let (delivery, ending) = state.withLock { ($0.delivery, $0.ending) }
      var report = RedeliveryReport(rejected: kept.letters, ending: ending)
      if let progress = await delivery?.progress {
        (report.delivered, report.attempts) = (progress.records, progress.attempts)
      }
      return report
    }
  }

  private func take(from source: DeadLetterSource) async throws(LogError) -> (any CursorLease, end: Offset) {
    switch scope {
    case .remaining, .all:
      let cursor = try await source.cursor(named: destination)
      if scope == .all { try await cursor.seek(to: .beginning) }
      return (cursor, source.durableEnd)
    case .one(let number):
      guard source.first <= number, number < source.durableEnd else { throw Self.noLetter(cursor) }
      return (EphemeralLease(named: destination, at: number, end: number + 1), number + 1)
    }
  }

  private func makeDelivery(_ lease: any CursorLease, _ source: DeadLetterSource) -> Delivery {
    Delivery(
      from: lease, source: source, to: sink, policy: policy, retry: retry, options: options, deadLetters: kept,
      clock: clock, wallClock: wallClock, logger: logger)
  }

  private static func noLetter(_ cursor: String) -> LogError {
    LogError(.unknownCursor, "cursor \(cursor) has no such dead letter")
  }
}

/// Letters that are rejected again stay where they are.
private final class RejectionRecorder: DeadLetterStore {
  private let rejected = Mutex<[RedeliveryReport.Rejected]>([])
  private let onRejected: @Sendable (RedeliveryReport.Rejected) -> Void

  init(_ onRejected: @escaping @Sendable (RedeliveryReport.Rejected) -> Void) { self.onRejected = onRejected }

  var letters: [RedeliveryReport.Rejected] { rejected.withLock { $0 } }

  func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset {
    // Of a redelivery the offset is the letter's number.
    let again = RedeliveryReport.Rejected(number: letter.offset, reason: letter.reason)
    rejected.withLock { $0.append(again) }
    onRejected(again)
    return letter.offset
  }
}

/// The right to move a cursor of which nothing is kept.
private final class EphemeralLease: CursorLease {
  let name: String
  private let end: Offset
  private let cursor: Mutex<CursorState>
  private let epoch: UInt32

  init(named name: String, at start: Offset, end: Offset) {
    self.name = name
    self.end = end
    let state = CursorState(startingAt: start).acquired()
    epoch = state.epoch
    cursor = Mutex(state)
  }

  var state: CursorState { cursor.withLock { $0 } }

  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError) {
    _ = try move { (state) throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: epoch, durableEnd: end)
    }
  }

  func replace(_ id: DeliveryID, with intent: Intent, rejectionReason: String?) async throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: epoch)
    }
  }

  func complete(_ id: DeliveryID, receipt: String) async throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in try state.completing(id, receipt: receipt, epoch: epoch) }
  }

  private func move(
    _ change: (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState {
    let result: Result<CursorState, CursorMoveError> = cursor.withLock { state in
      do throws(CursorMoveError) {
        state = try change(state)
        return .success(state)
      } catch { return .failure(error) }
    }
    switch result {
    case .success(let state): return state
    case .failure(let error): throw LogError(.illegalMove, "the cursor does not make that move", cause: error)
    }
  }
}
