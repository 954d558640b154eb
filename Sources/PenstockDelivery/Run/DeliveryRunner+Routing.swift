import PenstockEvents
import PenstockLog

// Events that the router has found for this delivery, instead of those that it finds by reading the log itself.

extension DeliveryRunner {
  /// What the router gave and no batch has counted in yet.
  struct Routed {
    let seat: EventRouter.Seat
    /// Everything before is counted into batches, or passed.
    var next: Offset
    var piece: Routing.Piece?
    /// The next event of the piece.
    var index = 0
    /// When the log took what lies before that event.
    var time = Timestamp(nanoseconds: 0)
    /// Whether more will come at once: then what is gathered is not sent yet because it is old.
    var isBehind = false

    mutating func begin(_ piece: Routing.Piece) {
      self.piece = piece
      index = 0
      time = piece.firstAppendTime
    }
  }

  /// Counts in what the router has found, up to `limit`. Returns false when the delivery has to read the log itself.
  mutating func countRouted(_ open: inout PendingBatch, upTo limit: Offset) -> Bool {
    // A batch that begins elsewhere than the last one ended: after a gap, or at records that a split has reserved.
    if let routed, routed.next != open.end { leaveRouter() }
    guard let seat = routed?.seat ?? join(at: open.end) else { return false }
    routed?.isBehind = false
    while open.fullBy == nil, open.end < limit {
      if routed?.piece == nil {
        guard let piece = commands.answerRouter({ seat.take() }) else {
          guard seat.isTaken else {
            leaveRouter()
            return false
          }
          routed?.isBehind = state.mode != .service || seat.isCatchingUp
          return true
        }
        routed?.begin(piece)
      }
      countPiece(in: &open, upTo: limit)
    }
    // It waits for an end that the log has not reached. The call is answered, or the wait would be over at once.
    if open.count == 0, open.end >= limit, routed?.piece == nil {
      if let piece = commands.answerRouter({ seat.take() }) {
        routed?.begin(piece)
      } else if !seat.isTaken {
        leaveRouter()
        return false
      }
    }
    return true
  }

  /// The delivery reads for itself until it has caught up, so that a slow one leaves the others alone.
  mutating func leaveRouter() {
    guard routed != nil else { return }
    (routed, mayJoin) = (nil, false)
  }

  private mutating func join(at offset: Offset) -> EventRouter.Seat? {
    guard mayJoin, selection.window == nil, !selection.filter.passesEverything,
      let router = environment.router, router.logID == source.logID,
      let seat = router.join(
        selection.filter, at: offset, calling: { [commands] in commands.update { $0.routerCalls = true } })
    else { return nil }
    routed = Routed(seat: seat, next: offset)
    return seat
  }

  private mutating func countPiece(in open: inout PendingBatch, upTo limit: Offset) {
    guard var routed, let piece = routed.piece else { return }
    let (selection, policy, now) = (selection, planner.policy, now)
    var kept = gathered
    gathered = Gathered()
    let budget = environment.router?.kept
    var (isDone, scratch) = (false, [UInt8]())
    piece.events.forEachRecord(in: routed.index..<piece.events.count) { record in
      guard !isDone, record.offset < limit else { return isDone = true }
      guard open.skip(before: record.offset, appendTime: routed.time, now) else { return isDone = true }
      let time = record.appendTime
      scratch.removeAll(keepingCapacity: true)
      selection.fields.render(record.bytes, into: &scratch)
      isDone = !open.add(
        upTo: record.offset + 1, bytes: scratch.count, appendTime: time, since: now.seen(time), policy)
      guard !isDone else { return }
      kept.keep(scratch, of: record, budget)
      routed.index += 1
      routed.time = time
      isDone = open.fullBy != nil
    }
    gathered = kept
    if routed.index == piece.events.count || open.fullBy == nil,
      open.skip(before: min(piece.end, limit), appendTime: piece.lastAppendTime, now), piece.end <= limit
    {
      routed.piece = nil
      routed.seat.finish()
    }
    routed.next = open.end
    self.routed = routed
  }
}

extension PendingBatch {
  /// Counts in what lies before an offset and is not selected. Returns false when the batch is full before it.
  fileprivate mutating func skip(before next: Offset, appendTime: Timestamp, _ now: DeliveryRunner.Now) -> Bool {
    while end < next {
      let step = min(next, end + max(1, Self.mostSkipped - skipped))
      guard skip(upTo: step, appendTime: appendTime, since: now.seen(appendTime)) else { return false }
    }
    return true
  }
}
