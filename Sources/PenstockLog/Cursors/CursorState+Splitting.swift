// A batch that its destination rejects is split until the rejected record is alone.
//
//   [a ........ b)  rejected        replacing: [a .. m) in flight, [m .. b) reserved     one write of the slot
//   [a .. m)        delivered       completing: committed is m; [m .. b) is begun as a batch of its own
//   [g, g+1)        rejected        replacing it by itself, with a reason: no process sends it again
//   [a ........ b)  rejected        replacing it by [g, g+1) with a reason, where nothing else of it is delivered:
//                                   committed is g, [g+1 .. b) is reserved
//   [g, g+1)        a dead letter   completing: committed is g + 1

extension CursorState {
  /// Replaces an open batch by a smaller one, or by the same one with a rejection reason; the rest is reserved. Atomic,
  /// because a state is written whole.
  ///
  /// A record with a rejection reason may lie further on in the batch, which then must be the oldest: the records
  /// before it are passed, because the destination wants none of them.
  ///
  /// - Parameters:
  ///   - id: The open batch. Its destination holds none of it.
  ///   - intent: Begins where that one begins and ends at or before its end, under another name; or is that one; or is
  ///     a record of it with a rejection reason.
  ///   - rejectionReason: Why the one record of `intent` must not be sent; nil when it is sent.
  ///   - epoch: The holder's.
  public func replacing(
    _ id: DeliveryID, with intent: Intent, rejectionReason: String?, epoch: UInt32
  ) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    guard let index = inFlight.firstIndex(where: { $0.intent.id == id }) else {
      if let lost { throw .lost(lost) }
      throw .unknownIntent(id)
    }
    let old = inFlight[index]
    guard !old.isDelivered, old.rejectionReason == nil, old.events == nil else {
      throw .malformedIntent("delivery \(id) is delivered, a dead letter or sent event by event; it is not replaced")
    }
    let mayPassFront = rejectionReason != nil && old.intent.first == committed && intent.first > old.intent.first
    guard intent.first == old.intent.first || mayPassFront, intent.end > intent.first, intent.end <= old.intent.end
    else {
      throw .outOfOrder(expected: old.intent.first, found: intent.first)
    }
    try checkForm(intent, rejectionReason: rejectionReason)
    let isNewName = !inFlight.contains { $0.intent.id == intent.id }
    guard isNewName || (intent == old.intent && rejectionReason != nil) else {
      throw .malformedIntent("delivery \(intent.id) is already open")
    }
    guard reserved.count < Self.maxReserved else { throw .tooManyInFlight }
    var next = self
    if mayPassFront { next.committed = intent.first }
    next.inFlight[index] = OpenIntent(
      intent: intent, isDelivered: false, rejectionReason: rejectionReason.map(Self.shortened))
    next.reserve(intent.end..<old.intent.end)
    return next
  }

  /// All ranges between `committed` and ``nextFirst``, in order.
  var pieces: [Range<Offset>] {
    (inFlight.map { $0.intent.first..<$0.intent.end } + reserved).sorted { $0.lowerBound < $1.lowerBound }
  }

  mutating func reserve(_ range: Range<Offset>) {
    guard !range.isEmpty else { return }
    reserved.insert(range, at: reserved.firstIndex { $0.lowerBound > range.lowerBound } ?? reserved.endIndex)
  }

  mutating func insert(_ open: OpenIntent) {
    inFlight.insert(open, at: inFlight.firstIndex { $0.intent.first > open.intent.first } ?? inFlight.endIndex)
  }

  func checkForm(_ intent: Intent, rejectionReason: String?) throws(CursorMoveError) {
    guard (1...Intent.maxIDBytes).contains(intent.id.rawValue.utf8.count) else {
      throw .malformedIntent("a delivery's name has 1 to \(Intent.maxIDBytes) bytes")
    }
    guard intent.contentDigest.count == 32 else { throw .malformedIntent("a content digest has 32 bytes") }
    guard intent.plan.count <= Intent.maxPlanBytes else { throw .malformedIntent("a plan has at most 2,048 bytes") }
    guard rejectionReason == nil || intent.end - intent.first == 1 && intent.singleEvents == nil else {
      throw .malformedIntent("a dead letter has exactly one record")
    }
    let records = intent.end - intent.first
    guard intent.singleEvents.map({ 1 <= $0 && $0 <= min(records, SettledEvents.maxEvents) }) ?? true else {
      throw .malformedIntent("a batch of \(records) records cannot have \(intent.singleEvents ?? 0) events")
    }
  }
}
