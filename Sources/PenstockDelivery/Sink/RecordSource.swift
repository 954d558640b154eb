public import PenstockLog

// Delivery reads a log and moves a cursor through these two protocols, so that a cluster can implement them later.
// `Log` and `LogReader` provide both.

/// A source of records: blocks up to a durable end.
public protocol RecordSource: Sendable {
  /// The log's UUID, as 32 hexadecimal digits.
  var logID: String { get }

  /// One past the last readable record.
  var durableEnd: Offset { get async }

  /// Records from `first` on, at most `maxRecords` and `maxBytes` of record bytes, but at least one record. Nil when
  /// `first` is the durable end. Complexity: O(blocks touched).
  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch?

  /// Exactly the records `first ..< end`.
  func records(in range: Range<Offset>) async throws(LogError) -> Batch

  /// As ``records(from:maxRecords:maxBytes:)``. Blocks that are whole in the batch may be unopened; see
  /// ``Sink/copiesFrames(plan:)``.
  func unopenedRecords(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch?

  /// As ``records(in:)``. Blocks that are whole in the batch may be unopened.
  func unopenedRecords(in range: Range<Offset>) async throws(LogError) -> Batch

  /// Asks for the log's own compressed blocks: later batches carry them where they are at hand. A small batch then
  /// takes about a tenth more memory. One of more than 4 MiB holds nothing else, and so takes about a tenth.
  func retainCompressedFrames()

  /// Waits until the durable end has passed `offset`, and then returns true. Returns false when `timeout` passes first
  /// or the source is closed, and soon after cancellation.
  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool
}

extension RecordSource {
  /// For a source without compressed blocks.
  public func retainCompressedFrames() {}
  /// For a source without compressed blocks.
  public func unopenedRecords(
    from first: Offset, maxRecords: Int, maxBytes: Int
  ) async throws(LogError) -> Batch? {
    try await records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }
  /// For a source without compressed blocks.
  public func unopenedRecords(in range: Range<Offset>) async throws(LogError) -> Batch { try await records(in: range) }
}

/// The right to move one cursor, until a later holder takes it.
public protocol CursorLease: Sendable {
  var name: String { get }

  /// The id of the log that the cursor belongs to, as ``RecordSource/logID`` returns it; nil when the lease does not
  /// know. A delivery whose source is another log throws.
  var logID: String? { get }

  /// The state of the cursor: durable but for what ``skip(to:)`` moved.
  var state: CursorState { get async }

  /// Makes an intent durable; on stable storage when it returns. An intent with a `rejectionReason` must not be sent.
  /// Throws `.fenced` when a later holder has taken the cursor. `.noSpace` and `.overloaded` mean that nothing was
  /// written and that the caller may repeat the call. After any other error the cursor may or may not have moved, and
  /// the caller must not use this lease again.
  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError)

  /// Atomically replaces an open batch by a smaller one, or by itself with a `rejectionReason`. Returns the state once
  /// it is on stable storage; see `CursorState.replacing(_:with:rejectionReason:epoch:)`. Throws as
  /// ``begin(_:rejectionReason:)`` does.
  func replace(_ id: DeliveryID, with intent: Intent, rejectionReason: String?) async throws(LogError) -> CursorState

  /// Commits a batch, begins `next` in the same write if that is not nil, and returns the state once it is on stable
  /// storage. Where `next` cannot begin, the state has only the commit. Throws as ``begin(_:rejectionReason:)`` does.
  func complete(_ id: DeliveryID, receipt: String, beginning next: Intent?) async throws(LogError) -> CursorState

  /// Stores what came of events of an open batch that are sent one by one, and returns the state once it is on stable
  /// storage; see `CursorState.settling(_:_:epoch:)`. Throws as ``begin(_:rejectionReason:)`` does.
  func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState

  /// Moves the cursor forward to `offset`, past records of which the destination wants none. No batch may be
  /// open. The move is in memory: it becomes durable with the next move, or by ``save()``. A crash before that
  /// only means that the records are read again. Throws as ``begin(_:rejectionReason:)`` does.
  func skip(to offset: Offset) async throws(LogError) -> CursorState

  /// Makes what ``skip(to:)`` moved durable; on stable storage when it returns. Without such a move it does nothing.
  /// Throws as ``begin(_:rejectionReason:)`` does.
  func save() async throws(LogError)

  /// The durable pause on the cursor, from any process; nil when there is none. A delivery calls this before each batch
  /// and each attempt, so it must be cheap.
  func currentPause() async throws(LogError) -> CursorPause?

  /// Pauses the cursor unless it is paused already; nil resumes it. On stable storage when it returns. A caller that
  /// has lost the lease may still call this.
  func setPause(_ pause: CursorPause?) async throws(LogError)
}

extension CursorLease {
  /// Unknown.
  public var logID: String? { nil }

  /// Nil, for a lease that keeps no pauses.
  public func currentPause() async throws(LogError) -> CursorPause? { nil }

  /// Throws `.illegalMove`, because a pause must be durable.
  public func setPause(_ pause: CursorPause?) async throws(LogError) {
    throw LogError(.illegalMove, "cursor \(name) keeps no pauses")
  }

  /// As ``complete(_:receipt:beginning:)``, and begins nothing.
  public func complete(_ id: DeliveryID, receipt: String) async throws(LogError) -> CursorState {
    try await complete(id, receipt: receipt, beginning: nil)
  }

  /// As ``begin(_:rejectionReason:)``, for a batch to be sent.
  public func begin(_ intent: Intent) async throws(LogError) { try await begin(intent, rejectionReason: nil) }
}
