/// A cursor's position, and the only moves it may make. A pure value: a move either returns the next state or throws,
/// and has no other effect. `CursorStore` makes the next state durable before any caller sees it. No method blocks.
///
/// States
/// - *free*: `epoch` 0, never held.
/// - *held, idle*: some holder has `epoch`; no intent is open.
/// - *held, in flight*: one or more intents are open.
///
/// Invariants (``violations(durableEnd:)`` and the exhaustive test check them)
/// 1. `epoch` never falls; only ``acquired()`` raises it, by one.
/// 2. Only ``seeking(to:givingUpBatches:epoch:durableEnd:)`` lowers `committed`, and `committed` never passes the log's
///    durable end.
/// 3. Open intents and reserved ranges together are contiguous: the first begins at `committed`, each next where the
///    one before ends. A reserved range is what a split left of a rejected batch. It is not in flight; it later becomes
///    one or several batches of its own, which end at or before its end.
/// 4. `committed` passes an intent only when it and all before it are delivered.
/// 5. A move with an epoch other than the current one changes nothing.
/// 6. Records that retention removed before they were delivered are in `lost`, at or below `committed`. No batch begins
///    until ``acknowledging(_:epoch:durableEnd:)`` or a seek empties `lost`.
/// 7. An intent with a rejection reason has one record, keeps its reason, and is not replaced.
/// 8. An intent that is given up keeps its range, and `committed` passes it as if it were delivered.
/// 9. A batch whose events are sent one by one is done when all are settled; a settled event stays settled. At most one
///    event is condemned, the lowest that is not settled, in the oldest open batch. See ``SettledEvents``.
public struct CursorState: Hashable, Sendable, Codable {
  /// Everything below this offset is done.
  public internal(set) var committed: Offset
  /// The number of the present holder; a new holder has a higher one.
  public private(set) var epoch: UInt32
  /// Open intents in offset order, at most ``maxInFlight``.
  public internal(set) var inFlight: [OpenIntent]
  /// The destination's answer to the newest committed batch, for operators; at most 256 bytes are kept.
  public internal(set) var lastReceipt: String?
  /// Records that retention's hard cap removed before their delivery was confirmed; nil once the holder acknowledges
  /// them. It includes every batch in flight as a whole: only the destination knows whether it holds such a batch. It
  /// includes batches between them that were confirmed out of order.
  public internal(set) var lost: Range<Offset>?

  /// What splits left of rejected batches and is not in flight, in offset order; at most 128.
  public internal(set) var reserved: [Range<Offset>]
  /// Dead letters since the last delivered batch: a destination that rejects everything raises this number.
  public internal(set) var consecutiveDeadLetters: UInt32

  /// An intent, and whether it is done (confirmed or given up) while an earlier one is open.
  public struct OpenIntent: Hashable, Sendable, Codable {
    /// The batch.
    public let intent: Intent
    /// Whether it was delivered, or given up, while an earlier one is open.
    public internal(set) var isDelivered: Bool
    /// Why its one record is not sent, or not sent again, but kept as a dead letter; nil for every other intent. At
    /// most 256 bytes.
    public internal(set) var rejectionReason: String?
    /// What is done of its events, where they are sent one by one.
    public internal(set) var events: SettledEvents?

    package init(intent: Intent, isDelivered: Bool, rejectionReason: String? = nil, events: SettledEvents? = nil) {
      self.intent = intent
      self.isDelivered = isDelivered
      self.rejectionReason = rejectionReason
      self.events = events ?? intent.singleEvents.map { SettledEvents(count: $0) }
    }
  }

  /// At most 4 intents are open at once.
  public static let maxInFlight = 4
  /// Four batches of 2³¹ records, each split down to one.
  static let maxReserved = 128

  /// A new cursor at `start`; no process has held it yet.
  public init(startingAt start: Offset) {
    committed = start
    epoch = 0
    inFlight = []
    lastReceipt = nil
    lost = nil
    reserved = []
    consecutiveDeadLetters = 0
  }

  /// A state read back from stable storage.
  package init(
    restoring committed: Offset, epoch: UInt32, inFlight: [OpenIntent], lastReceipt: String?,
    lost: Range<Offset>? = nil, reserved: [Range<Offset>] = [], consecutiveDeadLetters: UInt32 = 0
  ) {
    self.committed = committed
    self.epoch = epoch
    self.inFlight = inFlight
    self.lastReceipt = lastReceipt
    self.lost = lost
    self.reserved = reserved
    self.consecutiveDeadLetters = consecutiveDeadLetters
  }

  /// What is lost to the cursor, as its reader gets it.
  public var gap: Gap? { lost.map { Gap(first: $0.lowerBound, end: $0.upperBound, reason: .trimmed) } }

  /// Where the next intent begins.
  public var nextFirst: Offset {
    max(inFlight.last?.intent.end ?? committed, reserved.last?.upperBound ?? committed)
  }
}

/// Why a move was refused. The state is unchanged.
public enum CursorMoveError: Error, Hashable, Sendable {
  /// A later holder has taken the cursor; this one must stop.
  case fenced(held: UInt32, attempted: UInt32)
  /// The range does not begin at the cursor's next offset, is empty, or passes the durable end.
  case outOfOrder(expected: Offset, found: Offset)
  /// More than ``CursorState/maxInFlight`` intents.
  case tooManyInFlight
  /// Retention removed these records before they were delivered; the holder must acknowledge that first.
  case lost(Range<Offset>)
  /// No open intent of that id.
  case unknownIntent(DeliveryID)
  /// The move needs a cursor without open intents.
  case intentsOpen(Int)
  /// A plan or a digest of the wrong length.
  case malformedIntent(String)
}

extension CursorState {
  /// A new holder takes the cursor. Open intents stay: the new holder finishes them first.
  public func acquired() -> CursorState {
    var next = self
    next.epoch += 1
    return next
  }

  /// Stores that a batch is about to be delivered. It begins at ``nextFirst``, or at the beginning of a reserved range
  /// and ends at or before its end. With `rejectionReason` the intent is not sent: its one record becomes a dead
  /// letter.
  public func beginning(
    _ intent: Intent, rejectionReason: String? = nil, epoch: UInt32, durableEnd: Offset
  ) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    if let lost { throw .lost(lost) }
    guard inFlight.count < Self.maxInFlight else { throw .tooManyInFlight }
    let from = reserved.firstIndex { $0.lowerBound == intent.first }
    guard from != nil || intent.first == nextFirst else { throw .outOfOrder(expected: nextFirst, found: intent.first) }
    let limit = from.map { reserved[$0].upperBound } ?? durableEnd
    guard intent.end > intent.first, intent.end <= min(limit, durableEnd) else {
      throw .outOfOrder(expected: limit, found: intent.end)
    }
    try checkForm(intent, rejectionReason: rejectionReason)
    guard !inFlight.contains(where: { $0.intent.id == intent.id }) else {
      throw .malformedIntent("delivery \(intent.id) is open already")
    }
    var next = self
    if let from {
      next.reserved.remove(at: from)
      next.reserve(intent.end..<limit)
    }
    next.insert(OpenIntent(intent: intent, isDelivered: false, rejectionReason: rejectionReason.map(Self.shortened)))
    return next
  }

  /// Stores that a delivery is confirmed; commits as far as all earlier ones are confirmed, too.
  public func completing(_ id: DeliveryID, receipt: String, epoch: UInt32) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    guard let index = inFlight.firstIndex(where: { $0.intent.id == id }) else {
      if let lost { throw .lost(lost) }
      throw .unknownIntent(id)
    }
    guard inFlight[index].events == nil else {
      throw .malformedIntent("the events of delivery \(id) are settled one by one")
    }
    var next = self
    next.inFlight[index].isDelivered = true
    next.consecutiveDeadLetters = inFlight[index].rejectionReason == nil ? 0 : min(consecutiveDeadLetters, .max - 1) + 1
    next.lastReceipt = Self.shortened(receipt)
    next.commitDelivered()
    return next
  }

  /// The same, and begins the next batch with it, so that one write does for both. Where the next batch cannot begin,
  /// the first is completed alone.
  public func completing(
    _ id: DeliveryID, receipt: String, beginning next: Intent?, epoch: UInt32, durableEnd: Offset
  ) throws(CursorMoveError) -> CursorState {
    let completed = try completing(id, receipt: receipt, epoch: epoch)
    guard let next else { return completed }
    return (try? completed.beginning(next, epoch: epoch, durableEnd: durableEnd)) ?? completed
  }

  /// Moves a cursor that delivers without intents forward to `offset`. Its reader is responsible for its own effects.
  public func committing(to offset: Offset, epoch: UInt32, durableEnd: Offset) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    if let lost { throw .lost(lost) }
    guard inFlight.isEmpty else { throw .intentsOpen(inFlight.count) }
    // With nothing in flight, reserved ranges only show where a split was.
    guard offset >= committed else { throw .outOfOrder(expected: committed, found: offset) }
    guard offset <= durableEnd else { throw .outOfOrder(expected: durableEnd, found: offset) }
    var next = self
    next.committed = offset
    next.reserved = []
    return next
  }

  /// Moves the cursor anywhere in the log, also back. A seek also acknowledges lost records.
  ///
  /// A batch in flight refuses the seek, because its destination may hold it. With `givingUpBatches` those batches are
  /// given up: their records are delivered only if they are at or past `offset`, and then under new ids.
  public func seeking(
    to offset: Offset, givingUpBatches: Bool = false, epoch: UInt32, durableEnd: Offset
  ) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    guard inFlight.isEmpty || givingUpBatches else { throw .intentsOpen(inFlight.count) }
    guard offset <= durableEnd else { throw .outOfOrder(expected: durableEnd, found: offset) }
    var next = self
    next.inFlight = []
    next.committed = offset
    next.reserved = []
    next.lost = nil
    return next
  }

  /// Retention removes everything below `start`, which this cursor has not passed. The cursor moves to `start` now,
  /// whichever process holds it, and ``lost`` keeps what it did not deliver.
  ///
  /// A batch in flight that is cut is given up whole, and its range is never delivered under another name: its
  /// destination may already hold it, and the log cannot know. Later batches in flight stay open.
  public func passed(upTo start: Offset) -> CursorState {
    guard start > committed else { return self }
    var next = self
    var end = start > nextFirst ? start : committed
    while let head = next.inFlight.first, head.intent.first < start {
      if !head.isDelivered { end = max(end, head.intent.end) }
      next.committed = head.intent.end
      next.inFlight.removeFirst()
    }
    // A reserved range is not in flight, so its remaining part can still be delivered.
    for range in reserved where range.lowerBound < start { end = max(end, min(range.upperBound, start)) }
    next.committed = max(next.committed, start)
    next.reserved = []
    for range in reserved where range.upperBound > start {
      next.reserve(max(range.lowerBound, start)..<range.upperBound)
    }
    next.commitDelivered()
    next.lost = (lost?.lowerBound ?? committed)..<end
    return next
  }

  /// Commits as far as deliveries are confirmed without a hole.
  mutating func commitDelivered() {
    while let head = inFlight.first, head.isDelivered, head.intent.first == committed {
      committed = head.intent.end
      inFlight.removeFirst()
    }
  }

  /// At most the first 256 bytes, without a partial character.
  static func shortened(_ receipt: String) -> String {
    var kept = receipt.utf8.prefix(256)
    while String(kept) == nil { kept.removeLast() }
    return String(kept) ?? ""
  }

  func check(_ attempted: UInt32) throws(CursorMoveError) {
    guard attempted == epoch else { throw .fenced(held: epoch, attempted: attempted) }
  }
}
