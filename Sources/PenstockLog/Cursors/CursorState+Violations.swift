extension CursorState {
  /// What is wrong with this state, as sentences; empty when it is valid.
  public func violations(durableEnd: Offset) -> [String] {
    var found: [String] = []
    if committed > durableEnd { found.append("committed \(committed) is past the durable end \(durableEnd)") }
    if inFlight.count > Self.maxInFlight { found.append("\(inFlight.count) intents are open") }
    let isHeadDelivered = inFlight.first.map { $0.isDelivered && $0.intent.first == committed }
    if isHeadDelivered == true { found.append("a delivered intent at the head was not committed") }
    if reserved.count > Self.maxReserved { found.append("\(reserved.count) ranges are reserved") }
    var expected = committed
    for piece in pieces {
      if piece.lowerBound != expected { found.append("a piece at \(piece.lowerBound), expected \(expected)") }
      if piece.isEmpty { found.append("an empty piece at \(piece.lowerBound)") }
      expected = piece.upperBound
    }
    for open in inFlight
    where open.rejectionReason != nil && open.intent.first.rawValue &+ 1 != open.intent.end.rawValue {
      found.append("\(open.intent.id) is a dead letter and does not have exactly one record")
    }
    for open in inFlight {
      guard let events = open.events else { continue }
      if events.count > open.intent.end - open.intent.first { found.append("\(open.intent.id) has too many events") }
      if let violation = events.violation { found.append("\(open.intent.id): \(violation)") }
      if events.isComplete, !open.isDelivered { found.append("\(open.intent.id) is settled and not done") }
      if events.condemned != nil, !open.isDelivered, open.intent.first != committed {
        found.append("an event of \(open.intent.id) is condemned before its turn")
      }
    }
    if let lost, lost.isEmpty || lost.upperBound > committed {
      found.append("records \(lost.lowerBound) ..< \(lost.upperBound) are lost, committed is \(committed)")
    }
    if expected > durableEnd { found.append("intents reach \(expected), past the durable end \(durableEnd)") }
    return found
  }
}
