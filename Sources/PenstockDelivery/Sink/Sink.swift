public import PenstockLog

/// A destination.
///
/// ## The contract
/// A delivery goes through four calls; the first three are pure and may be repeated, the last one acts:
/// 1. ``plan(_:)`` fixes, for a *new* batch, everything that shapes its bytes and its name (field selection, encoding,
///    key). The plan is made durable in the cursor's intent. After that only the plan counts: a sink with a changed
///    configuration is given the old plan for the old batch and must follow the plan.
/// 2. ``prepare(_:plan:)`` renders the body. Equal records and an equal plan give a body with an equal content digest,
///    in every process and version of the sink.
/// 3. The intent is synced.
/// 4. ``deliver(_:)`` sends. It is called again with an equal delivery after any failure, timeout or crash, for as long
///    as it does not answer ``DeliveryOutcome/delivered(receipt:)``; the sink must make that safe (create-only writes, a
///    stable id). It classifies every outcome and never throws. It bounds its own time: nobody else breaks an attempt
///    off, since only the sink knows what that leaves behind. When its task is cancelled it returns soon, with `retry`
///    unless it knows better. A batch of which nothing is to be sent (`eventCount` 0) is delivered like any other; a sink
///    may answer `delivered` at once.
///
/// ``DeliveryOutcome/rejected(reason:)`` says more than that the batch is useless: *none* of its records was taken. The
/// delivery then plans and sends smaller parts of it under other names, until the record to blame stands alone and becomes
/// a dead letter. A destination that may have taken a part is `retry`, `conflict` or `refused`. A sink that knows the record
/// that it cannot plan or render names it in ``SinkError/offset``: the others go without it. The record itself is then
/// tried in a batch by itself, and only when that fails too it becomes a dead letter.
///
/// Calls for one cursor do not overlap unless `maxInFlight` > 1; calls for different cursors may. A sink keeps no state
/// that a delivery depends on. `SinkConformance` in PenstockTestKit checks this contract against any sink.
public protocol Sink: Sendable {
  /// What and where, for people and logs; holds no secret. For example `webhook https://example.com/v1/ingest`.
  var description: String { get }

  /// Whether new batches may be sent as the log's own compressed blocks; see ``RecordSource/retainCompressedFrames()``. No, unless the sink
  /// says otherwise.
  var acceptsCompressedFrames: Bool { get }

  /// Whether ``plan(_:)`` writes ``BatchMetadata/events`` into the plan and ``prepare(_:plan:)`` leaves out what it does
  /// not hold. No, unless the sink says otherwise: a replay by event times is then refused.
  var appliesEventWindows: Bool { get }

  /// When a batch is closed, unless the delivery is given a policy of its own.
  /// ``BatchPolicy/init(maxRecords:maxBytes:maxWait:boundary:)`` with its defaults, unless the sink says otherwise.
  /// Read once, when a delivery is made.
  var batchPolicy: BatchPolicy { get }

  /// The most that one batch may hold, whatever policy a delivery is given. No limit, unless the sink says otherwise. A
  /// single record that is larger than `maxBytes` is still a batch by itself. Read once, when a delivery is made.
  var batchLimits: BatchLimits { get }

  /// Fixes how the batch is rendered and named. At most `Intent.maxPlanBytes` bytes, versioned by the sink itself.
  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8]

  /// Renders the body. Throws when the plan cannot be followed (written by a later version, say): the delivery stops
  /// and says so; nothing is skipped. Of a new batch, an error that names a record makes that record a dead letter,
  /// once it cannot be rendered in a batch by itself either. An error about the batch as a whole must not name a
  /// record.
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody

  /// Sends, and says what came of it.
  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome

  /// Lets go of connections. Called once, after the last `deliver` has returned.
  func close() async
}

extension Sink {
  public var acceptsCompressedFrames: Bool { false }
  public var appliesEventWindows: Bool { false }
  public var batchPolicy: BatchPolicy { BatchPolicy() }
  public var batchLimits: BatchLimits { BatchLimits() }
  public func close() async {}
}

/// What is known of a new batch before it is rendered.
public struct BatchMetadata: Sendable, Hashable {
  /// The log's UUID, as 32 hexadecimal digits.
  public var logID: String
  public var cursor: String
  public var first: Offset
  /// One past the last record.
  public var end: Offset
  public var byteCount: Int
  /// When the log took the first record.
  public var firstAppendTime: Timestamp
  /// When the plan is made.
  public var plannedAt: Timestamp
  /// Why the batch ends where it ends.
  public var closedBy: CloseReason
  /// The only records that are to be sent of it; nil: all. Part of the plan, so that a batch that is open keeps it.
  public var events: EventWindow?

  public init(
    logID: String, cursor: String, first: Offset, end: Offset, byteCount: Int, firstAppendTime: Timestamp,
    plannedAt: Timestamp, closedBy: CloseReason, events: EventWindow? = nil
  ) {
    self.logID = logID
    self.cursor = cursor
    self.first = first
    self.end = end
    self.byteCount = byteCount
    self.firstAppendTime = firstAppendTime
    self.plannedAt = plannedAt
    self.closedBy = closedBy
    self.events = events
  }
}

/// A rendered batch.
public struct PreparedBody: Sendable {
  /// The bytes to be sent (compressed, where the plan says so); empty when there is a ``stream``.
  public var bytes: [UInt8]
  /// Gives the bytes piece by piece, where the whole ought not to stand in memory. Nil unless the sink's own `prepare` set
  /// it; only that sink reads it.
  public var stream: (any BodyStream)?
  /// SHA-256 of the uncompressed body: 32 bytes. What makes two deliveries equal.
  public var contentDigest: [UInt8]
  /// Length of the uncompressed body in bytes.
  public var contentLength: Int
  /// How many events are in it; fewer than records when some were filtered.
  public var eventCount: Int
  /// How many of the batch's records have no event time that can be read; counted where the plan has a window of event
  /// times.
  public var untimedCount = 0

  public init(bytes: [UInt8], contentDigest: [UInt8], contentLength: Int, eventCount: Int) {
    self.bytes = bytes
    self.contentDigest = contentDigest
    self.contentLength = contentLength
    self.eventCount = eventCount
  }
}

/// A body that is rendered while it is sent, each time anew.
///
/// Every reader gives equal content (what the digest is of), but not necessarily equal bytes: a compressor may differ, or the
/// blocks the records are taken from. Bytes of two readers must never be put together into one object without proof that
/// they are equal.
public protocol BodyStream: Sendable {
  /// Begins at the beginning.
  func makeReader() -> any BodyReader
}

/// Reads a ``BodyStream`` once.
public protocol BodyReader {
  /// The next `count` bytes; fewer, or none, only at the end.
  mutating func read(_ count: Int) throws(SinkError) -> [UInt8]
}

/// One delivery, whose intent is durable.
public struct DeliveryRequest: Sendable {
  public var intent: Intent
  public var body: PreparedBody
  public var logID: String
  public var cursor: String
  /// 1 for the first attempt in this process.
  public var attempt: Int

  public init(intent: Intent, body: PreparedBody, logID: String, cursor: String, attempt: Int) {
    self.intent = intent
    self.body = body
    self.logID = logID
    self.cursor = cursor
    self.attempt = attempt
  }
}

/// What came of an attempt.
public enum DeliveryOutcome: Sendable, Hashable {
  /// The destination holds the batch, now or since an earlier attempt. The receipt (a status, an ETag) is for people.
  case delivered(receipt: String)
  /// Not known to be delivered; try again, not before `after` has passed if the destination said so.
  case retry(reason: String, after: Duration?)
  /// The destination says the content is wrong (400, 413, 422), and has taken nothing of it: sending it again is useless.
  case rejected(reason: String)
  /// The destination refuses us, not the batch (401, 403, 404, a bucket that does not exist): a person must act.
  case refused(reason: String)
  /// The destination wants nothing more, ever (410): nothing is sent until a person says so.
  case disabled(reason: String)
  /// Something else stands where the batch should be: another writer, or the same log twice. Never overwritten.
  case conflict(reason: String)
}

/// Why a batch cannot be planned or rendered.
public struct SinkError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  /// The record whose own content is the reason. Nil for an error about the batch, its plan or the sink: no record is
  /// to blame then, the destination halts, and nothing becomes a dead letter.
  public let offset: Offset?
  public init(_ message: String, offset: Offset? = nil) {
    self.message = message
    self.offset = offset
  }
  public var description: String { offset.map { "record \($0): \(message)" } ?? message }
}
