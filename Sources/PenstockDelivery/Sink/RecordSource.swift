public import PenstockLog

// Delivery reads a log and keeps a cursor through these two protocols, so that a cluster can stand behind them later.
// `Log` and `LogReader` give both.

/// Where records come from: blocks up to a durable end.
public protocol RecordSource: Sendable {
  /// The log's UUID, as 32 hexadecimal digits.
  var logID: String { get }

  /// One past the last record that may be read.
  var durableEnd: Offset { get async }

  /// The records from `first` on, up to `maxRecords` and `maxBytes` (of record bytes), at least one; nil when `first` is
  /// the durable end. Complexity: O(blocks touched).
  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch?

  /// Exactly `first ..< end`.
  func records(in range: Range<Offset>) async throws(LogError) -> Batch

  /// Somebody makes use of the log's own compressed blocks: batches from now on bring them along where they are at hand. A small
  /// batch takes about a tenth more memory for that; one of more than 4 MiB holds nothing else, and so takes about a tenth.
  func retainCompressedFrames()

  /// Returns true when the durable end has passed `offset`, false when `timeout` passed first or the source was closed.
  /// Cancellation makes it return false soon.
  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool
}

extension RecordSource {
  /// Has no compressed blocks.
  public func retainCompressedFrames() {}
}

/// The right to move one cursor, until a later holder takes it.
public protocol CursorLease: Sendable {
  var name: String { get }

  /// The id of the log that the cursor counts in, as ``RecordSource/logID`` gives it; nil where the lease does not
  /// know. A delivery refuses a cursor of one log with another log as its source.
  var logID: String? { get }

  /// Where the cursor stands now, as made durable.
  var state: CursorState { get async }

  /// Returns when the intent is on stable storage; with `rejectionReason` it is not to be sent. Throws `.fenced` when a later holder has taken the cursor; `.noSpace`
  /// and `.overloaded` say that nothing was written and that the same call may be made again. After any other error the
  /// cursor may or may not have moved, and this lease is of no more use.
  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError)

  /// Puts a smaller batch, or the same one condemned, in the place of an open one, all of it or nothing, and returns the
  /// state once it is on stable storage; see `CursorState.replacing(_:with:rejectionReason:epoch:)`. Throws as
  /// ``begin(_:rejectionReason:)`` does.
  func replace(_ id: DeliveryID, with intent: Intent, rejectionReason: String?) async throws(LogError) -> CursorState

  /// Returns the state after the commit, once it is on stable storage. Throws as ``begin(_:rejectionReason:)`` does.
  func complete(_ id: DeliveryID, receipt: String) async throws(LogError) -> CursorState

  /// The pause on the cursor as it is durable now, whoever put it on; nil when there is none. Asked before each batch and each
  /// attempt, so it must be cheap.
  func currentPause() async throws(LogError) -> CursorPause?

  /// Puts a pause on the cursor unless there is one, or with nil takes it off; on stable storage when it returns. Anybody may,
  /// also one who has lost the lease.
  func setPause(_ pause: CursorPause?) async throws(LogError)
}

extension CursorLease {
  /// Not known.
  public var logID: String? { nil }

  /// None: of a lease that keeps no pauses.
  public func currentPause() async throws(LogError) -> CursorPause? { nil }

  /// Refuses: a pause that is not durable is none.
  public func setPause(_ pause: CursorPause?) async throws(LogError) {
    throw LogError(.illegalMove, "cursor \(name) keeps no pauses")
  }

  /// As ``begin(_:rejectionReason:)``, of a batch that is to be sent.
  public func begin(_ intent: Intent) async throws(LogError) { try await begin(intent, rejectionReason: nil) }
}
