public import Logging
public import PenstockLog
import Synchronization

/// The result of a redelivery so far.
public struct RedeliveryReport: Sendable, Hashable {
  /// A letter that was rejected again. It stays in the store, and the redelivery has passed it.
  public struct Rejected: Sendable, Hashable {
    /// The letter's number.
    public let number: Offset
    /// What the destination, or the sink, answered.
    public let reason: String
  }

  /// Letters that arrived.
  public var delivered = 0
  /// Attempts at all batches, answered or not.
  public var attempts = 0
  /// Letters that were rejected again, in the order of their numbers.
  public var rejected: [Rejected] = []
  /// Nil while the redelivery runs.
  public var ending: DeliveryReport.Ending?
}

/// What a redelivery is to do.
public struct RedeliverySettings: Sendable, Hashable {
  /// Which letters to send.
  public var scope: RedeliveryScope
  /// The cursor whose letters these are.
  public var cursor: String
  /// The destination's name, under which the redelivery keeps its position.
  public var destination: String
  /// Batches, retries, batches in flight and rates. Without ``RetryPolicy/giveUpAfter`` the redelivery waits out
  /// trouble without a limit.
  public var options: DeliveryOptions

  /// Sends the letters that no redelivery to this destination has passed, with the standard options.
  public init(
    _ scope: RedeliveryScope = .remaining, of cursor: String, to destination: String,
    options: DeliveryOptions = DeliveryOptions()
  ) {
    self.scope = scope
    self.cursor = cursor
    self.destination = destination
    self.options = options
  }
}

/// Delivers a cursor's dead letters to a destination again: the original bytes, in the order in which they were
/// written.
///
/// The redelivery keeps its position with the letters, one for each destination, and the next redelivery continues
/// there. After a crash it sends again at most what any delivery may send twice, under the same id. A letter that is
/// rejected again is passed and reported. No letter is removed.
///
/// ``RedeliveryScope/one(_:)`` keeps no position. Sent again, the letter has the same id and the same bytes, so a
/// receiver that knows the id discards it. A redelivery ignores a pause of the destination: an operator asked for it
/// explicitly.
///
/// A redelivery runs once. To run again, make another one.
public final class Redelivery: Sendable {
  private let settings: RedeliverySettings
  private let letters: DeadLetters
  private let sink: any Sink
  private let environment: DeliveryEnvironment
  private let rejections: RejectionRecorder
  private struct State {
    var delivery: Delivery?
    var isStopping = false
    var ending: DeliveryReport.Ending?
  }
  private let state = Mutex(State())
  private let hasRun = Atomic(false)

  /// Makes a redelivery. It does nothing before it runs.
  ///
  /// - Parameters:
  ///   - settings: Which letters to send, and how.
  ///   - letters: The dead letters of the log.
  ///   - sink: The destination. It marks what it sends with ``RedeliveryScope/mark``. The redelivery closes it when the
  ///     run ends.
  ///   - environment: Clocks, random bits, logger and observer.
  ///   - onRejected: Called for each letter that is rejected again; must return soon.
  public init(
    _ settings: RedeliverySettings, in letters: DeadLetters, to sink: any Sink,
    environment: DeliveryEnvironment = DeliveryEnvironment(logger: Logger(label: "penstock.redelivery")),
    onRejected: @escaping @Sendable (RedeliveryReport.Rejected) -> Void = { _ in }
  ) {
    self.settings = settings
    self.letters = letters
    self.sink = sink
    self.environment = environment
    rejections = RejectionRecorder(onRejected)
  }

  /// Delivers the letters that exist at the call, until ``stop()``, graceful shutdown or cancellation.
  ///
  /// - Throws: `LogError`: `.unknownCursor` when there is no such letter, `.cursorHeld` while another redelivery to
  ///   this destination runs. ``DeliveryFailure`` as ``Delivery/run(untilCaughtUpWith:)`` does, also when this
  ///   redelivery has run before.
  public func run() async throws -> RedeliveryReport {
    guard !hasRun.exchange(true, ordering: .relaxed) else {
      throw DeliveryFailure(
        DeliveryTrouble(.defect, "a Redelivery runs once; make another one"), cursor: settings.cursor,
        destination: sink.description, range: nil, cause: nil)
    }
    let delivery: Delivery
    let end: Offset
    let source: DeadLetterSource
    do {
      guard let found = try await letters.source(of: settings.cursor) else { throw noLetter }
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

  /// Finishes the attempts in flight and begins no other. May be called at any time, more than once.
  public func stop() {
    let delivery = state.withLock { state in
      state.isStopping = true
      return state.delivery
    }
    delivery?.stop()
  }

  /// What the redelivery has done so far. May be read at any time.
  public var report: RedeliveryReport {
    get async {
      let (delivery, ending) = state.withLock { ($0.delivery, $0.ending) }
      var report = RedeliveryReport(rejected: rejections.letters, ending: ending)
      if let progress = await delivery?.progress {
        (report.delivered, report.attempts) = (progress.records, progress.attempts)
      }
      return report
    }
  }

  private func take(from source: DeadLetterSource) async throws(LogError) -> (any CursorLease, end: Offset) {
    switch settings.scope {
    case .remaining, .all:
      let cursor = try await source.cursor(named: settings.destination)
      if settings.scope == .all { try await cursor.seek(to: .beginning) }
      return (cursor, await source.durableEnd)
    case .one(let number):
      guard source.first <= number, number < (await source.durableEnd) else { throw noLetter }
      return (EphemeralLease(named: settings.destination, at: number, end: number + 1), number + 1)
    }
  }

  private func makeDelivery(_ lease: any CursorLease, _ source: DeadLetterSource) -> Delivery {
    Delivery(
      from: lease, source: source, to: sink, options: settings.options, deadLetters: rejections,
      environment: environment)
  }

  private var noLetter: LogError {
    LogError(.unknownCursor, "cursor \(settings.cursor) has no such dead letter")
  }
}

/// Records the letters that are rejected again. They stay where they are.
private final class RejectionRecorder: DeadLetterStore {
  private let rejected = Mutex<[RedeliveryReport.Rejected]>([])
  private let onRejected: @Sendable (RedeliveryReport.Rejected) -> Void

  init(_ onRejected: @escaping @Sendable (RedeliveryReport.Rejected) -> Void) { self.onRejected = onRejected }

  var letters: [RedeliveryReport.Rejected] { rejected.withLock { $0 } }

  func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset {
    // In a redelivery the record's offset is the letter's number.
    let again = RedeliveryReport.Rejected(number: letter.offset, reason: letter.reason)
    rejected.withLock { $0.append(again) }
    onRejected(again)
    return letter.offset
  }
}

/// A cursor in memory, of which nothing is kept.
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

  func complete(_ id: DeliveryID, receipt: String, beginning next: Intent?) async throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: epoch, durableEnd: end)
    }
  }

  func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in try state.settling(id, change, epoch: epoch) }
  }

  func skip(to offset: Offset) async throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in try state.committing(to: offset, epoch: epoch, durableEnd: end) }
  }

  func save() async throws(LogError) {}

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
    case .failure(let error): throw LogError(.illegalMove, "illegal move of the cursor", cause: error)
    }
  }
}
