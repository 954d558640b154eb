public import PenstockDelivery
public import PenstockLog

/// What is durable of a cursor, in memory: it outlives the leases on it as a file outlives processes.
public final class InMemoryCursor: Sendable {
  /// A call that can fail.
  public enum Call: Hashable, Sendable {
    case begin, replace, complete, settle, acknowledge, pause, save
  }

  /// What was made durable, in order.
  public enum Entry: Hashable, Sendable {
    case begun(Intent)
    /// A part, or the same batch marked as rejected, took the place of the first.
    case replaced(DeliveryID, by: Intent, rejectionReason: String?)
    /// The same write was to begin another batch, if that is not nil; `begun` follows where it did.
    case completed(DeliveryID, beginning: DeliveryID? = nil)
    /// What came of events of a batch that are sent one by one.
    case settled(DeliveryID, EventMove)
    case acknowledged(Range<Offset>)
    /// What was skipped became durable, up to this offset.
    case saved(Offset)
  }

  private struct State: Sendable {
    /// What is durable.
    var cursor: CursorState
    /// Where its holder is, if it has skipped records since.
    var ahead: CursorState?
    var history: [Entry] = []
    var failures: [Call: [LogError]] = [:]
    var pause: CursorPause?
  }

  /// The cursor's name.
  public let name: String
  private let source: InMemorySource
  private let memory: AsyncCondition<State>

  /// Makes a cursor that is held by no process.
  public init(named name: String = "test", of source: InMemorySource, startingAt start: Offset = .zero) {
    self.name = name
    self.source = source
    memory = AsyncCondition(State(cursor: CursorState(startingAt: start)))
  }

  /// The durable state.
  public var state: CursorState { memory.value.cursor }
  /// Every move, in order.
  public var history: [Entry] { memory.value.history }

  /// The pause on it. Set from outside, it is as if another process had done it.
  public var pause: CursorPause? {
    get { memory.value.pause }
    set { memory.update { $0.pause = newValue } }
  }

  /// Takes the cursor; every earlier lease is fenced from now on.
  ///
  /// - Parameter crash: Kills the holder before or after one of its calls.
  public func acquire(crash: CrashSwitch? = nil) -> InMemoryLease {
    let epoch = memory.update { state in
      (state.cursor, state.ahead) = (state.cursor.acquired(), nil)
      return state.cursor.epoch
    }
    return InMemoryLease(cursor: self, epoch: epoch, crash: crash)
  }

  /// Retention passes the cursor, as its hard cap does.
  public func pass(upTo start: Offset) {
    memory.update { ($0.cursor, $0.ahead) = (($0.ahead ?? $0.cursor).passed(upTo: start), nil) }
  }

  /// Acknowledges the records that retention removed.
  public func acknowledgeLoss() {
    let end = source.end
    memory.update { state in
      guard let lost = state.cursor.lost else { return }
      let next = try? state.cursor.acknowledging(lost, epoch: state.cursor.epoch, durableEnd: end)
      state.cursor = next ?? state.cursor
    }
  }

  /// Makes the next calls of that kind fail, one after another, without effect.
  public func failNext(_ call: Call, with errors: LogError...) {
    memory.update { $0.failures[call, default: []] += errors }
  }

  /// Returns when the cursor is as described; false when the task is cancelled first.
  public func wait(until condition: @escaping @Sendable (CursorState) -> Bool) async -> Bool {
    await memory.wait { condition($0.cursor) }
  }

  fileprivate func move(
    _ call: Call, _ entry: Entry, _ change: @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState {
    let result: Result<CursorState, LogError> = memory.update { state in
      if let error = state.failures[call]?.first {
        state.failures[call]?.removeFirst()
        return .failure(error)
      }
      do throws(CursorMoveError) {
        (state.cursor, state.ahead) = (try change(state.ahead ?? state.cursor), nil)
        state.history.append(entry)
        if case .completed(_, let id?) = entry, let begun = state.cursor.inFlight.first(where: { $0.intent.id == id }) {
          state.history.append(.begun(begun.intent))
        }
        return .success(state.cursor)
      } catch {
        return .failure(Self.logError(error))
      }
    }
    return try result.get()
  }

  fileprivate func skip(
    _ change: @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState {
    let result: Result<CursorState, LogError> = memory.update { state in
      do throws(CursorMoveError) {
        let next = try change(state.ahead ?? state.cursor)
        state.ahead = next
        return .success(next)
      } catch {
        return .failure(Self.logError(error))
      }
    }
    return try result.get()
  }

  /// What was skipped and is not durable.
  fileprivate var ahead: CursorState? { memory.value.ahead }

  fileprivate func set(_ pause: CursorPause?) throws(LogError) {
    let result: Result<Void, LogError> = memory.update { state in
      if let error = state.failures[.pause]?.first {
        state.failures[.pause]?.removeFirst()
        return .failure(error)
      }
      state.pause = pause == nil ? nil : state.pause ?? pause
      return .success(())
    }
    try result.get()
  }

  fileprivate var durableEnd: Offset { source.end }
  fileprivate var logID: String { source.logID }

  private static func logError(_ error: CursorMoveError) -> LogError {
    if case .fenced = error { return LogError(.fenced, "a later holder has taken the cursor", cause: error) }
    if case .lost(let range) = error {
      return LogError(Gap(first: range.lowerBound, end: range.upperBound, reason: .trimmed))
    }
    return LogError(.illegalMove, "the cursor does not make that move", cause: error)
  }
}

/// One holder's right to an ``InMemoryCursor``.
public struct InMemoryLease: ReplayLease {
  private let cursor: InMemoryCursor
  private let epoch: UInt32
  private let crash: CrashSwitch?

  public var logID: String? { cursor.logID }

  fileprivate init(cursor: InMemoryCursor, epoch: UInt32, crash: CrashSwitch?) {
    self.cursor = cursor
    self.epoch = epoch
    self.crash = crash
  }

  public var name: String { cursor.name }
  public var state: CursorState { get async { cursor.ahead ?? cursor.state } }

  public func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError) {
    let (epoch, end) = (epoch, cursor.durableEnd)
    _ = try await move(.begin, .begun(intent)) { state throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: epoch, durableEnd: end)
    }
  }

  public func replace(
    _ id: DeliveryID, with intent: Intent, rejectionReason: String?
  ) async throws(LogError) -> CursorState {
    let epoch = epoch
    let entry = InMemoryCursor.Entry.replaced(id, by: intent, rejectionReason: rejectionReason)
    return try await move(.replace, entry) { state throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: epoch)
    }
  }

  public func complete(
    _ id: DeliveryID, receipt: String, beginning next: Intent?
  ) async throws(LogError) -> CursorState {
    let (epoch, end) = (epoch, cursor.durableEnd)
    return try await move(.complete, .completed(id, beginning: next?.id)) { state throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: epoch, durableEnd: end)
    }
  }

  public func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    let epoch = epoch
    return try await move(.settle, .settled(id, change)) { state throws(CursorMoveError) in
      try state.settling(id, change, epoch: epoch)
    }
  }

  public func acknowledge(_ gap: Gap) async throws(LogError) {
    let (epoch, end, range) = (epoch, cursor.durableEnd, gap.first..<gap.end)
    _ = try await move(.acknowledge, .acknowledged(range)) { state throws(CursorMoveError) in
      try state.acknowledging(range, epoch: epoch, durableEnd: end)
    }
  }

  public func skip(to offset: Offset) async throws(LogError) -> CursorState {
    let (epoch, end) = (epoch, cursor.durableEnd)
    return try cursor.skip { state throws(CursorMoveError) in
      try state.committing(to: offset, epoch: epoch, durableEnd: end)
    }
  }

  public func save() async throws(LogError) {
    guard let ahead = cursor.ahead else { return }
    let epoch = epoch
    _ = try await move(.save, .saved(ahead.committed)) { state throws(CursorMoveError) in
      guard state.epoch == epoch else { throw .fenced(held: state.epoch, attempted: epoch) }
      return state
    }
  }

  public func currentPause() async throws(LogError) -> CursorPause? { cursor.pause }

  public func setPause(_ pause: CursorPause?) async throws(LogError) {
    try cursor.set(pause)
  }

  /// One move, with a place to crash at before it and one after.
  private func move(
    _ call: InMemoryCursor.Call, _ entry: InMemoryCursor.Entry,
    _ change: @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  ) async throws(LogError) -> CursorState {
    try await crash.live("before \(call)")
    let next = try cursor.move(call, entry, change)
    try await crash.live("after \(call)")
    return next
  }
}
