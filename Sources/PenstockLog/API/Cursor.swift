internal import Synchronization

/// A named, durable position in a log. This process holds it until another holder takes it.
///
/// ```swift
/// let billing = try await log.cursor(named: "billing")
/// while let batch = try await billing.next(upTo: .init(records: 500, wait: .seconds(5))) {
///     try await charge(batch)             // after a crash: the equal batch again
///     try await billing.commit(batch)
/// }
/// ```
///
/// ``next(upTo:)`` stores the batch's range durably before it returns the batch. So after a crash the *equal* batch
/// comes again, whatever was appended meanwhile. ``commit(_:)`` moves the position durably.
///
/// A move (`commit`, `seek`, `begin`, …) and the reads of ``next(upTo:)`` run on the log's own threads. They block no
/// thread of the caller.
public final class Cursor: Sendable {
  /// How much a batch may hold, and how long it may wait for more records.
  public struct Limits: Hashable, Sendable {
    /// The most records.
    public var records: Int
    /// Bytes of records; a batch with a single record may be larger.
    public var bytes: Int
    /// How long a batch that is not full waits for more, from when `next` saw its first record. Default: zero.
    public var wait: Duration
    /// 500 records, 1 MiB and no wait, unless the caller says otherwise.
    public init(records: Int = 500, bytes: Int = 1 << 20, wait: Duration = .zero) {
      self.records = records
      self.bytes = bytes
      self.wait = wait
    }
  }

  /// The cursor's name.
  public let name: String
  /// The id of the cursor's log, as 32 hexadecimal digits.
  public let logID: String?
  /// This holder's number; a later holder's is higher.
  public let epoch: UInt32
  private let held: HeldCursor
  private let view: LogView
  let worker: Worker
  let environment: LogEnvironment
  let paths: LogPaths
  /// Keeps the log open, where this process writes it.
  private let lifetime: LogLifetime?

  init(_ held: HeldCursor, epoch: UInt32, of registry: CursorRegistry, lifetime: LogLifetime?) {
    self.held = held
    self.epoch = epoch
    self.lifetime = lifetime
    name = held.name
    logID = LogMeta.hex(registry.logID)
    view = registry.view
    worker = registry.worker
    environment = registry.environment
    paths = registry.paths
  }

  /// The cursor's state: durable but for what ``skip(to:)`` moved.
  public var state: CursorState { held.state }

  /// The next batch, whose range is durable: one sync. If the last returned batch was not committed, returns it again.
  /// Nil when the log was closed or the task cancelled.
  ///
  /// Throws `.gap` where records are lost, every time until ``acknowledge(_:)`` or ``seek(to:givingUpBatches:)``. Also
  /// `.fenced` when a later holder has the cursor, `.poisoned` and `.io`.
  public func next(upTo limits: Limits = Limits()) async throws(LogError) -> Batch? {
    if let gap = state.gap { throw LogError(gap) }
    do throws(LogError) { return try await read(upTo: limits) } catch {
      // A cancelled task also ends the wait for records.
      guard error.code == .cancelled else { throw error }
      return nil
    }
  }

  private func read(upTo limits: Limits) async throws(LogError) -> Batch? {
    if let open = state.inFlight.first?.intent { return try await view.fetchBatch(in: open.first..<open.end) }
    let first = state.committed
    guard await view.wait(past: first) else { return nil }
    var limits = limits
    limits.records = max(1, limits.records)
    if let part = state.reserved.first, part.lowerBound == first {
      limits.records = min(limits.records, part.upperBound - part.lowerBound)
    }
    guard let batch = try await fill(from: first, limits) else { return nil }
    // The range alone names the delivery: the reader is responsible for its effects.
    try await begin(
      Intent(
        id: Self.id(batch), first: batch.first, end: batch.end, contentDigest: [UInt8](repeating: 0, count: 32),
        plan: [], createdAt: environment.clock.now()))
    return batch
  }

  private func fill(from first: Offset, _ limits: Limits) async throws(LogError) -> Batch? {
    let deadline = ContinuousClock.now + limits.wait
    while true {
      // Before the read: what is appended during it does not make the batch a full one.
      let end = view.end
      guard
        let batch = try await view.fetchBatch(from: first, maxRecords: limits.records, maxBytes: limits.bytes)
      else { return nil }
      let isFull = batch.count == limits.records || batch.end < end
      let left = deadline - .now
      if isFull || left <= .zero { return batch }
      guard await view.wait(past: batch.end, for: left) else { return batch }
    }
  }

  private static func id(_ batch: Batch) -> DeliveryID { DeliveryID("\(batch.first)-\(batch.end)") }

  /// Moves the cursor past the batch that ``next(upTo:)`` returned: one sync. Throws `.fenced`, `.illegalMove` for a
  /// batch that is not open, `.poisoned` and `.io`.
  public func commit(_ batch: Batch) async throws(LogError) {
    _ = try await complete(Self.id(batch), receipt: "")
  }

  /// Moves the cursor anywhere in the log, also back: one sync. Throws `.illegalMove` while a batch is open, or for an
  /// offset past the end.
  ///
  /// With `givingUpBatches` it also moves while a batch is open, and gives that batch up. The destination may hold the
  /// batch or not. Its records at or past the new position are delivered under new ids; the others are not.
  public func seek(to place: Position, givingUpBatches: Bool = false) async throws(LogError) {
    let offset = try await view.fetchOffset(of: place)
    try await move(.seek) { [epoch, view] (state) throws(CursorMoveError) in
      try state.seeking(to: offset, givingUpBatches: givingUpBatches, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Acknowledges a gap that ``next(upTo:)`` threw: stores durably that its records are lost to this cursor, and
  /// continues after them. One sync.
  ///
  /// An open batch with some of the lost records can never be sent again, so it is given up whole; see
  /// ``CursorState/givenUp(by:)``. Throws `.gap` with the new gap when retention has removed more since. Throws
  /// `.illegalMove` when the gap is not this cursor's.
  public func acknowledge(_ gap: Gap) async throws(LogError) {
    guard gap.first <= gap.end else {
      throw LogError(.illegalMove, "the gap ends at offset \(gap.end), before it begins at \(gap.first)")
    }
    try await move(.seek) { [epoch, view] (state) throws(CursorMoveError) in
      try state.acknowledging(gap.first..<gap.end, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Stores a delivery durably: one sync. See ``Intent``. With `rejectionReason` its one record is not sent, but
  /// becomes a dead letter.
  public func begin(_ intent: Intent, rejectionReason: String? = nil) async throws(LogError) {
    try await move(.begin) { [epoch, view] (state) throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Replaces an open batch by a smaller one, or by the same one with a rejection reason: one sync, all or nothing. See
  /// ``CursorState/replacing(_:with:rejectionReason:epoch:)``. Returns the new state.
  public func replace(
    _ id: DeliveryID, with intent: Intent, rejectionReason: String?
  ) async throws(LogError) -> CursorState {
    try await move(.begin) { [epoch] (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: epoch)
    }
  }

  /// Confirms a delivery and commits as far as all earlier ones are confirmed: one sync. With `beginning` the same sync
  /// stores that batch, too; where it cannot begin, the state shows that. Returns the new state.
  public func complete(
    _ id: DeliveryID, receipt: String, beginning next: Intent? = nil
  ) async throws(LogError) -> CursorState {
    try await move(.commit) { [epoch, view] (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Stores what came of events of a batch that is sent event by event: one sync. Returns the new state. See
  /// ``CursorState/settling(_:_:epoch:)``.
  public func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    try await move(.commit) { [epoch] (state) throws(CursorMoveError) in
      try state.settling(id, change, epoch: epoch)
    }
  }

  /// Moves the cursor forward to `offset` in memory, past records that its destination does not want: no sync. No batch
  /// may be open. The next durable move, or ``save()``, makes it durable; a crash before that moves it back. O(1).
  /// While another move of this cursor is being written, as by retention, it follows that one and is durable.
  public func skip(to offset: Offset) async throws(LogError) -> CursorState {
    let step: CursorMover.Step = { [epoch, view] (state) throws(CursorMoveError) in
      try state.committing(to: offset, epoch: epoch, durableEnd: view.end)
    }
    if let state = try held.skip(step) { return state }
    return try await move(.commit, step)
  }

  /// Makes what ``skip(to:)`` moved durable: one sync, or none when nothing was skipped.
  public func save() async throws(LogError) {
    guard held.isAhead || state.epoch != epoch else { return }
    try await move(.commit) { [epoch] (state) throws(CursorMoveError) in
      try state.check(epoch)
      return state
    }
  }

  @discardableResult
  private func move(
    _ kind: LogObserverEvent.CursorMove.Kind,
    _ step: @escaping @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  ) async throws(LogError) -> CursorState {
    let held = held
    let observation = environment.observation
    let start = observation.start()
    // Moves that wait together are written together.
    let state = try await held.move(on: worker, step) { [view, environment] (next) throws(LogError) in
      try view.makeDurable(upTo: next.nextFirst, environment.fileSystem)
    }
    observation.tell(since: start) { duration in
      .movedCursor(
        LogObserverEvent.CursorMove(
          cursor: name, kind: kind, committed: state.committed, end: view.end, duration: duration))
    }
    return state
  }
}

extension Cursor {
  /// The present pause on this cursor; nil when there is none. Opens one file name, and blocks the calling thread for
  /// that.
  public func currentPause() async throws(LogError) -> CursorPause? {
    try CursorStore.pause(environment.fileSystem, paths, name: name)
  }

  /// Sets a pause on this cursor, or revokes it with nil: durable when it returns, one or two syncs. An existing pause
  /// stays as it is. `Delivery` obeys it; ``next(upTo:)`` does not.
  public func setPause(_ pause: CursorPause?) async throws(LogError) {
    try await worker.run { [environment, paths, name] () throws(LogError) in
      try CursorStore.setPause(pause, environment.fileSystem, paths, name: name)
    }
  }
}

extension LogParts {
  /// Takes a cursor and returns a handle.
  func cursor(named name: String, startingAt start: Offset, isReplay: Bool = false) async throws(LogError) -> Cursor {
    let (held, epoch) = try await cursors.acquire(name, startingAt: start, isReplay: isReplay)
    return Cursor(held, epoch: epoch, of: cursors, lifetime: lifetime)
  }
}
