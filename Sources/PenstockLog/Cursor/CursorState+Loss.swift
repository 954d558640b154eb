// What a cursor does about records that are lost to it.
//
//   retention passed it        `lost` names the range       acknowledging it empties `lost`
//   damage where it stands     no batch is open             acknowledging it moves `committed` past the gap
//   damage in an open batch    the batch cannot be sent     acknowledging it gives the batch up, whole
//
// A batch is given up whole, because its destination may hold it already: records of it that can still be read are never
// sent under another name. A replay of their offsets delivers them.

extension CursorState {
  /// The open batches that cannot be sent again because records of theirs are in `gap`: from the first of them to the last,
  /// nil when there is none. Acknowledging the gap gives them up.
  public func givenUp(by gap: Range<Offset>) -> Range<Offset>? {
    let open = inFlight.filter { !$0.isDelivered && ($0.intent.first..<$0.intent.end).overlaps(gap) }
    guard let first = open.first?.intent.first, let end = open.last?.intent.end else { return nil }
    return first..<end
  }

  /// The holder knows that the records of `gap` are lost to it: those of ``lost``; those of open batches, which are given up;
  /// or, with no batch open, records missing where the cursor stands. What was given up is kept in ``lastReceipt``.
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
    if let range = givenUp(by: gap) {
      for index in inFlight.indices where !inFlight[index].isDelivered {
        let intent = inFlight[index].intent
        if (intent.first..<intent.end).overlaps(gap) { next.inFlight[index].isDelivered = true }
      }
      next.lastReceipt = "given up: records \(range.lowerBound) ..< \(range.upperBound), some of them cannot be read"
      next.commitDelivered()
      // The gap may reach past the batches.
      if next.inFlight.isEmpty, next.reserved.isEmpty, next.committed < gap.upperBound, next.committed > gap.lowerBound
      {
        next.committed = gap.upperBound
      }
      return next
    }
    guard inFlight.isEmpty else { throw .intentsOpen(inFlight.count) }
    guard gap.lowerBound == committed else { throw .outOfOrder(expected: committed, found: gap.lowerBound) }
    next.committed = gap.upperBound
    next.reserved = []
    return next
  }
}
