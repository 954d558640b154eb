// What a cursor does about records that are lost to it.
//
//   retention passed it          `lost` names the range     acknowledging it empties `lost`
//   damage in an open batch      it cannot be sent again    acknowledging it gives the batch up, whole
//   damage in a reserved range   the rest can be sent       acknowledging it passes the lost records alone
//   damage after all of these    nothing is begun there     acknowledging it passes the lost records
//
// A batch is given up whole, because its destination may hold it already: records of it that can still be read are never
// sent under another name. A replay of their offsets delivers them.
//
// Lost records that are passed while something before them is still open stand in `inFlight` as an intent that is done with
// (`lost-first-end`), so that `committed` passes them in their turn.

extension CursorState {
  /// The open batches that cannot be sent again because records of theirs are in `gap`: from the first of them to the last,
  /// nil when there is none. Acknowledging the gap gives them up.
  public func givenUp(by gap: Range<Offset>) -> Range<Offset>? {
    let open = inFlight.filter { !$0.isDelivered && ($0.intent.first..<$0.intent.end).overlaps(gap) }
    guard let first = open.first?.intent.first, let end = open.last?.intent.end else { return nil }
    return first..<end
  }

  /// The holder knows that the records of `gap` are lost to it: those of ``lost``, or those of open batches, which are given
  /// up, of reserved ranges, and of what is not begun yet. What was given up or passed is kept in ``lastReceipt``.
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
    // What is not begun yet: where the cursor would begin next, and on from what was touched before it.
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

  /// Puts an intent that is done with in the place of lost records, whether they are reserved or not begun.
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
