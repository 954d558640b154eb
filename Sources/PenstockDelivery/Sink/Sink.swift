public import PenstockLog

/// A destination.
///
/// ## The contract
/// A delivery makes four steps. The first three may be repeated and have no outside effect; the last one sends.
/// 1. ``plan(_:)`` fixes, for a *new* batch, everything that determines its bytes and its name: field selection,
///    encoding, key. The plan becomes durable in the cursor's intent. After that only the plan counts: a sink with a
///    changed configuration gets the old plan for the old batch and must follow it.
/// 2. ``prepare(_:plan:)`` renders the body. Equal records and an equal plan give a body with an equal content digest,
///    in every process and version of the sink. The delivery has already left out what ``selection(plan:)`` leaves out.
/// 3. The delivery syncs the intent.
/// 4. ``deliver(_:)`` sends. After any failure, timeout or crash the delivery calls it again with an equal request,
///    until it answers ``DeliveryOutcome/delivered(receipt:)``. The sink must make that safe, with create-only writes
///    or a stable id. It classifies every outcome and never throws. It limits its own time: the delivery never aborts
///    an attempt, since only the sink knows what an aborted attempt leaves. When its task is cancelled, the sink
///    returns soon, with `retry` unless it knows better. A batch without events (`eventCount` 0) may come, and a sink
///    may answer `delivered` to it at once.
///
/// ``DeliveryOutcome/rejected(reason:)`` means that the destination took *none* of the batch's records. The delivery
/// then plans and sends smaller parts under other names, until one record is left; that record becomes a dead letter.
/// When the destination may have taken a part, the sink answers `retry`, `conflict` or `refused`.
///
/// A sink that knows which record it cannot plan or render names it in ``SinkError/offset``. The delivery sends the
/// others without it, then tries the record in a batch by itself. Only when that fails too does it become a dead
/// letter.
///
/// Calls for one cursor do not overlap unless `maxInFlight` is above 1; calls for different cursors may. A sink keeps
/// no state that a delivery depends on. `SinkConformance` in PenstockTestKit checks this contract against any sink.
public protocol Sink: Sendable {
  /// The kind and the address, for operators and logs, without secrets. For example `webhook
  /// https://example.com/v1/ingest`.
  var description: String { get }

  /// Whether new batches may be sent as the log's own compressed blocks; see ``RecordSource/retainCompressedFrames()``.
  /// False by default.
  var acceptsCompressedFrames: Bool { get }

  /// Whether a batch with this plan is made of the log's own compressed blocks, so that ``prepare(_:plan:)`` asks for
  /// no record of a block that is whole in the batch. Such blocks then come unopened: their checksums are right, and
  /// they were not decompressed. False by default.
  func copiesFrames(plan: [UInt8]) throws(SinkError) -> Bool

  /// Whether ``plan(_:)`` writes ``BatchMetadata/events`` into the plan, and ``selection(plan:)`` returns it as its
  /// window. False by default; a replay by event times then throws.
  var appliesEventWindows: Bool { get }

  /// What new batches deliver of the log; everything by default. It is part of every plan that ``plan(_:)`` makes. The
  /// limits of a batch count what is selected. Read once, when a delivery is made.
  var selection: EventSelection { get }

  /// What a batch with this plan delivers; everything by default. A pure function of the plan. Throws when it cannot
  /// follow the plan.
  func selection(plan: [UInt8]) throws(SinkError) -> EventSelection

  /// Whether every record belongs to a batch, also where nothing is selected: for a destination that proves, by a
  /// manifest, which ranges it has. False by default: then the delivery passes such records without a batch.
  var recordsEveryRange: Bool { get }

  /// Whether new batches are sent event by event: ``prepare(_:plan:)`` and ``deliver(_:)`` then get one event each,
  /// with an id that does not depend on the batch around it. Up to `maxInFlight` events are sent at once. False by
  /// default. Read once, when a delivery is made.
  ///
  /// The destination must remember ids: after a crash some events arrive again that it has confirmed, with the same id
  /// and the same bytes. With more than one event in flight they arrive in any order. An event that it rejects becomes
  /// a dead letter alone.
  var sendsSingleEvents: Bool { get }

  /// Whether the next batch may be planned and rendered while one is on its way, also with `maxInFlight` 1: neither
  /// depends on what was delivered before. It saves a sync for each batch. False by default. Read once, when a delivery
  /// is made.
  var plansAhead: Bool { get }

  /// When a batch is closed, unless the delivery has a policy of its own. By default
  /// ``BatchPolicy/init(maxRecords:maxBytes:maxWait:boundary:)`` with its defaults. Read once, when a delivery is made.
  var batchPolicy: BatchPolicy { get }

  /// The most that one batch may hold, whatever the delivery's policy says. No limit by default. A single record larger
  /// than `maxBytes` is still a batch by itself. Read once, when a delivery is made.
  var batchLimits: BatchLimits { get }

  /// Fixes how the batch is rendered and named. At most `Intent.maxPlanBytes` bytes, in a format that the sink versions
  /// itself.
  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8]

  /// Renders the body. Throws when it cannot follow the plan, for example one of a later version: the delivery halts
  /// with that error and skips nothing. For a new batch, an error that names a record makes that record a dead letter,
  /// once it cannot be rendered alone either. An error about the whole batch must not name a record.
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody

  /// Sends the body and returns the outcome.
  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome

  /// Closes connections. Called once, after the last `deliver` has returned.
  func close() async
}

extension Sink {
  /// By default false.
  public var acceptsCompressedFrames: Bool { false }
  /// By default false.
  public func copiesFrames(plan: [UInt8]) throws(SinkError) -> Bool { false }
  /// By default false.
  public var appliesEventWindows: Bool { false }
  /// By default everything.
  public var selection: EventSelection { .all }
  /// By default everything.
  public func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { .all }
  /// By default false.
  public var recordsEveryRange: Bool { false }
  /// By default false.
  public var sendsSingleEvents: Bool { false }
  /// By default false.
  public var plansAhead: Bool { false }
  /// By default that of a webhook: 500 records, 1 MiB, 5 seconds.
  public var batchPolicy: BatchPolicy { BatchPolicy() }
  /// By default none.
  public var batchLimits: BatchLimits { BatchLimits() }
  /// By default does nothing.
  public func close() async {}
}

/// The facts about a new batch before it is rendered.
public struct BatchMetadata: Sendable, Hashable {
  /// The log's UUID, as 32 hexadecimal digits.
  public var logID: String
  /// The cursor's name.
  public var cursor: String
  /// The first record.
  public var first: Offset
  /// One past the last record.
  public var end: Offset
  /// The selected records' bytes together, before rendering.
  public var byteCount: Int
  /// When the log took the first selected record or, where none is selected, the first of the range.
  public var firstAppendTime: Timestamp
  /// When the plan is made.
  public var plannedAt: Timestamp
  /// Why the batch ends where it ends.
  public var closedBy: CloseReason
  /// The condition for the records to send; nil: all. Part of the plan, so that an open batch keeps it.
  public var events: EventWindow?

  /// Facts with these values; they are not checked.
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
  /// The bytes to send, compressed where the plan says so. Empty when there is a ``stream``.
  public var bytes: [UInt8]
  /// Returns the bytes piece by piece, when the whole body should not be in memory. Nil unless the sink's own `prepare`
  /// set it; only that sink reads it.
  public var stream: (any BodyStream)?
  /// Identifies the uncompressed body: 32 bytes. SHA-256, unless the plan names another digest. Two deliveries with
  /// equal plans and equal digests have equal content.
  public var contentDigest: [UInt8]
  /// Length of the uncompressed body in bytes.
  public var contentLength: Int
  /// The number of events in the body: fewer than the range has records when some were filtered.
  public var eventCount: Int

  /// A body that is complete in memory.
  public init(bytes: [UInt8], contentDigest: [UInt8], contentLength: Int, eventCount: Int) {
    self.bytes = bytes
    self.contentDigest = contentDigest
    self.contentLength = contentLength
    self.eventCount = eventCount
  }
}

/// One delivery, whose intent is durable.
public struct DeliveryRequest: Sendable {
  /// The durable intent: the batch's id, range, digest and plan.
  public var intent: Intent
  /// The rendered batch.
  public var body: PreparedBody
  /// The log's UUID, as 32 hexadecimal digits.
  public var logID: String
  /// The cursor's name.
  public var cursor: String
  /// 1 for the first attempt in this process.
  public var attempt: Int

  /// A request with these values; they are not checked.
  public init(intent: Intent, body: PreparedBody, logID: String, cursor: String, attempt: Int) {
    self.intent = intent
    self.body = body
    self.logID = logID
    self.cursor = cursor
    self.attempt = attempt
  }
}

/// The outcome of an attempt.
public enum DeliveryOutcome: Sendable, Hashable {
  /// The destination has the batch, now or since an earlier attempt. The receipt (a status, an ETag) is for operators.
  case delivered(receipt: String)
  /// Delivery is not certain; try again, but not before `after` if the destination gave a time.
  case retry(reason: String, after: Duration?)
  /// The destination says that the content is wrong (400, 413, 422) and took none of it. Sending it again is useless.
  case rejected(reason: String)
  /// The destination refuses the sender, not the batch (401, 403, 404, a bucket that does not exist). An operator must
  /// act.
  case refused(reason: String)
  /// The destination wants no more deliveries, ever (410). Nothing is sent until an operator resumes it.
  case disabled(reason: String)
  /// Something else is in the batch's place: another writer wrote it, or the same log exists twice. Never overwritten.
  case conflict(reason: String)
}

/// Why a batch cannot be planned or rendered.
public struct SinkError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators.
  public let message: String
  /// The record whose content is the cause. Nil for an error about the batch, its plan or the sink: then the
  /// destination halts, and nothing becomes a dead letter.
  public let offset: Offset?
  /// An error about the record at `offset`, or about the whole batch.
  public init(_ message: String, offset: Offset? = nil) {
    self.message = message
    self.offset = offset
  }
  public var description: String { offset.map { "record \($0): \(message)" } ?? message }
}
