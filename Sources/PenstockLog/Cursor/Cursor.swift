internal import Synchronization

/// A named, durable place in a log, held by this process until somebody else takes it.
///
/// ```swift
/// let billing = try await log.cursor(named: "billing")
/// while let batch = try await billing.next(upTo: .init(records: 500, wait: .seconds(5))) {
///     try await charge(batch)             // after a crash: the equal batch again
///     try await billing.commit(batch)
/// }
/// ```
///
/// ``next(upTo:)`` notes the batch durably before it hands it out, so that the *equal* batch comes again after a crash, whatever
/// has been appended meanwhile; ``commit(_:)`` moves the place durably.
public final class Cursor: Sendable {
  /// How much a batch may hold, and how long it may wait to be filled.
  public struct Limits: Hashable, Sendable {
    public var records: Int
    /// Bytes of records; a batch with a single record may be larger.
    public var bytes: Int
    /// How long a batch that is not full waits for more, counted from when `next` saw its first record. Default: not at all.
    public var wait: Duration
    public init(records: Int = 500, bytes: Int = 1 << 20, wait: Duration = .zero) {
      self.records = records
      self.bytes = bytes
      self.wait = wait
    }
  }

  public let name: String
  /// The id of the log that it is a cursor of, as 32 hexadecimal digits.
  public let logID: String?
  /// This holder's number; a later holder's is higher.
  public let epoch: UInt32
  private let held: HeldCursor
  private let view: LogView
  let worker: Worker
  let environment: LogEnvironment
  let paths: LogPaths
  /// Of the log that is read, where this process writes it.
  private let keeper: LogKeeper?

  init(
    _ held: HeldCursor, epoch: UInt32, logID: String, view: LogView, worker: Worker, environment: LogEnvironment,
    paths: LogPaths, keeper: LogKeeper? = nil
  ) {
    self.logID = logID
    self.keeper = keeper
    self.held = held
    self.epoch = epoch
    self.view = view
    self.worker = worker
    self.environment = environment
    self.paths = paths
    name = held.name
  }

  /// Where the cursor stands, as made durable.
  public var state: CursorState { held.state }

  /// The next batch, noted durably: one sync. The batch handed out before, if it was not committed. Nil when the log was
  /// closed or the task cancelled. Throws `.gap` where records are lost, every time until ``acknowledge(_:)`` or
  /// ``seek(to:)``, and `.fenced`.
  public func next(upTo limits: Limits = Limits()) async throws(LogError) -> Batch? {
    if let gap = state.gap { throw LogError(gap) }
    if let open = state.inFlight.first?.intent { return try view.batch(in: open.first..<open.end) }
    let first = state.committed
    guard await view.wait(past: first) else { return nil }
    var limits = limits
    limits.records = max(1, limits.records)
    if let part = state.reserved.first, part.lowerBound == first {
      limits.records = min(limits.records, part.upperBound - part.lowerBound)
    }
    guard let batch = try await fill(from: first, limits) else { return nil }
    // The range alone names the delivery: what is done with it is the reader's own affair.
    try await begin(
      Intent(
        id: Self.id(batch), first: batch.first, end: batch.end, contentDigest: [UInt8](repeating: 0, count: 32),
        plan: [], createdAt: environment.clock.now()))
    return batch
  }

  private func fill(from first: Offset, _ limits: Limits) async throws(LogError) -> Batch? {
    let deadline = ContinuousClock.now + limits.wait
    while true {
      guard let batch = try view.batch(from: first, maxRecords: limits.records, maxBytes: limits.bytes) else {
        return nil
      }
      let isFull = batch.count == limits.records || batch.end < view.end
      let left = deadline - .now
      if isFull || left <= .zero { return batch }
      guard await view.wait(past: batch.end, for: left) else { return batch }
    }
  }

  private static func id(_ batch: Batch) -> DeliveryID { DeliveryID("\(batch.first)-\(batch.end)") }

  /// Moves the cursor past the batch that ``next(upTo:)`` handed out: one sync.
  public func commit(_ batch: Batch) async throws(LogError) {
    _ = try await complete(Self.id(batch), receipt: "")
  }

  /// Moves the cursor anywhere in the log, also back: one sync. Throws `.illegalMove` while a batch is open.
  public func seek(to place: Position) async throws(LogError) {
    let offset = try view.offset(of: place)
    try await move(.seek) { [epoch, view] (state) throws(CursorMoveError) in
      try state.seeking(to: offset, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Notes that the records of a gap, as ``next(upTo:)`` threw it, are lost to this cursor, and continues after them: one
  /// sync. An open batch that holds some of them can never be sent again, so it is given up whole; see
  /// ``CursorState/givenUp(by:)``. Throws `.gap` with the new one when retention has removed more since, `.illegalMove` when
  /// the gap is not this cursor's.
  public func acknowledge(_ gap: Gap) async throws(LogError) {
    guard gap.first <= gap.end else {
      throw LogError(.illegalMove, "the gap ends at offset \(gap.end), before it begins at \(gap.first)")
    }
    try await move(.seek) { [epoch, view] (state) throws(CursorMoveError) in
      try state.acknowledging(gap.first..<gap.end, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Notes a delivery: one sync. See ``Intent``. With `condemned` its one record is not to be sent.
  public func begin(_ intent: Intent, condemned: String? = nil) async throws(LogError) {
    try await move(.begin) { [epoch, view] (state) throws(CursorMoveError) in
      try state.beginning(intent, condemned: condemned, epoch: epoch, durableEnd: view.end)
    }
  }

  /// Puts a smaller batch, or the same one condemned, in the place of an open one: one sync, all of it or nothing. See
  /// ``CursorState/replacing(_:with:condemned:epoch:)``. Returns the new state.
  public func replace(
    _ id: DeliveryID, with intent: Intent, condemned: String?
  ) async throws(LogError) -> CursorState {
    try await move(.begin) { [epoch] (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, condemned: condemned, epoch: epoch)
    }
  }

  /// Confirms a delivery and commits as far as all before it are confirmed: one sync. Returns the new state.
  public func complete(_ id: DeliveryID, receipt: String) async throws(LogError) -> CursorState {
    try await move(.commit) { [epoch] (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, epoch: epoch)
    }
  }

  @discardableResult
  private func move(
    _ kind: LogNotice.CursorMove.Kind,
    _ step: @escaping @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  ) async throws(LogError) -> CursorState {
    let held = held
    let observation = environment.observation
    let start = observation.start()
    let state = try await worker.run { [view, environment] () throws(LogError) in
      try held.move(step) { (next) throws(LogError) in
        try view.makeDurable(upTo: next.nextFirst, environment.fileSystem)
      }
    }
    observation.tell(since: start) { duration in
      .movedCursor(
        LogNotice.CursorMove(
          cursor: name, kind: kind, committed: state.committed, end: view.end, duration: duration))
    }
    return state
  }
}

/// The cursors this process holds in one log.
package final class CursorRegistry: Sendable {
  let environment: LogEnvironment
  let paths: LogPaths
  let logID: [UInt8]
  private let view: LogView
  let worker: Worker
  /// Nil once closed.
  let held = Mutex<[String: HeldCursor]?>([:])

  init(_ environment: LogEnvironment, _ paths: LogPaths, logID: [UInt8], view: LogView, worker: Worker) {
    self.environment = environment
    self.paths = paths
    self.logID = logID
    self.view = view
    self.worker = worker
  }

  /// Takes a cursor: raises its epoch durably, so that whoever held it before is refused from now on.
  func cursor(
    named name: String, startingAt start: Offset, isReplay: Bool = false, keeper: LogKeeper? = nil
  ) async throws(LogError) -> Cursor {
    try ReplayShelf.checkName(name, isReplay: isReplay)
    return try await worker.run { [self] () throws(LogError) in
      guard let known = held.withLock({ $0 }) else { throw LogError(.closed, "the log is closed") }
      // A cursor past the end would bear witness to records that never were.
      guard start <= view.end else {
        throw LogError(
          .outOfRange, "cursor \(name) cannot begin at offset \(start); the log ends at \(view.end)",
          place: .init(offset: start))
      }
      try view.makeDurable(upTo: start, environment.fileSystem)
      let cursor: HeldCursor
      if let known = known[name] {
        cursor = known
      } else {
        // Only the worker's thread comes here, so nobody takes the same name in between.
        cursor = try CursorStore.hold(environment.fileSystem, paths, logID: logID, name: name, startingAt: start)
        let isOpen = held.withLock { held in
          held?[name] = cursor
          return held != nil
        }
        if !isOpen { cursor.close() }
      }
      let state = try cursor.move { (state) throws(CursorMoveError) in state.acquired() }
      return Cursor(
        cursor, epoch: state.epoch, logID: LogMeta.hex(logID), view: view, worker: worker, environment: environment,
        paths: paths, keeper: keeper)
    }
  }

  /// The cursors held now, by name.
  var holders: [String: HeldCursor] { held.withLock { $0 ?? [:] } }

  /// Lets go of all cursors; handles still around can move no more.
  func close() {
    let held = held.withLock { held in
      defer { held = nil }
      return held
    }
    for cursor in (held ?? [:]).values { cursor.close() }
  }
}
