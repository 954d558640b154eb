// How a cursor handles records that are lost to it.
//
//   retention passed it          `lost` is the range        acknowledging it empties `lost`
//   damage in an open batch      it cannot be sent again    acknowledging it gives up the whole batch
//   damage in a reserved range   the rest can be sent       acknowledging it passes only the lost records
//   damage after all of these    no batch begins there      acknowledging it passes the lost records
//
// A batch is given up whole, because its destination may hold it already. Its readable records are never sent under
// another name. A replay of their offsets delivers them.
//
// Lost records that are passed while an earlier batch is still open become an intent in `inFlight` that is done
// (`lost-first-end`), so that `committed` passes them in order.

extension CursorState {
  /// The open batches that cannot be sent again because some of their records are in `gap`, from the first to the last;
  /// nil when there is none. Acknowledging the gap gives them up.
  public func givenUp(by gap: Range<Offset>) -> Range<Offset>? {
    let open = inFlight.filter { !$0.isDelivered && ($0.intent.first..<$0.intent.end).overlaps(gap) }
    guard let first = open.first?.intent.first, let end = open.last?.intent.end else { return nil }
    return first..<end
  }

  /// The holder acknowledges that the records of `gap` are lost to it. They are those of ``lost``, or of open batches
  /// (which are given up), of reserved ranges, and of batches not yet begun. ``lastReceipt`` records what was given up
  /// or passed.
  public func acknowledging(
    _ gap: Range<Offset>, epoch: UInt32, durableEnd: Offset
  ) throws(CursorMoveError) -> CursorState {
    try check(epoch)
    var next = self
    if let lost {
      // Retention may have removed more since the holder read the gap.
      guard gap == lost else { throw .lost(lost) }
      next.lost = nil
      return next
    }
    guard gap.upperBound <= durableEnd else { throw .outOfOrder(expected: durableEnd, found: gap.upperBound) }
    next.giveUpBatches(in: gap)
    var passed = reserved.filter { $0.overlaps(gap) }.map { $0.clamped(to: gap) }
    let isTouched = next != self || !passed.isEmpty
    // Records that are not begun: where the cursor would begin next, or what continues a touched piece.
    let rest = max(gap.lowerBound, nextFirst)..<max(gap.upperBound, nextFirst)
    if !rest.isEmpty, rest.lowerBound == nextFirst, isTouched || gap.lowerBound == nextFirst { passed.append(rest) }
    guard isTouched || !passed.isEmpty else { throw .outOfOrder(expected: nextFirst, found: gap.lowerBound) }
    for part in passed { next.pass(part) }
    next.commitDelivered()
    guard next.inFlight.count <= Self.maxInFlight, next.reserved.count <= Self.maxReserved else {
      throw .tooManyInFlight
    }
    let given = givenUp(by: gap).map {
      "given up: records \($0.lowerBound) ..< \($0.upperBound), some of them cannot be read"
    }
    next.lastReceipt = given ?? "passed: records \(gap.lowerBound) ..< \(gap.upperBound), which are lost"
    return next
  }

  private mutating func giveUpBatches(in gap: Range<Offset>) {
    for index in inFlight.indices where !inFlight[index].isDelivered {
      let intent = inFlight[index].intent
      if (intent.first..<intent.end).overlaps(gap) { inFlight[index].isDelivered = true }
    }
  }

  /// Inserts an intent that is done in place of lost records, whether they are reserved or not begun.
  private mutating func pass(_ part: Range<Offset>) {
    if let index = reserved.firstIndex(where: { $0.overlaps(part) }) {
      let range = reserved.remove(at: index)
      reserve(range.lowerBound..<part.lowerBound)
      reserve(part.upperBound..<range.upperBound)
    }
    let intent = Intent(
      id: DeliveryID("lost-\(part.lowerBound)-\(part.upperBound)"), first: part.lowerBound, end: part.upperBound,
      contentDigest: [UInt8](repeating: 0, count: 32), plan: [], createdAt: Timestamp(nanoseconds: 0))
    insert(OpenIntent(intent: intent, isDelivered: true))
  }
}
