import PenstockLog

// Batches whose events are sent one by one: when what came of them is written to the cursor, and what becomes of a
// rejected event.

extension DeliveryState {
  /// Each write costs a sync. So confirmed events wait for it while others can be sent, but not longer: after a crash
  /// every event is sent again that is not settled.
  var settlePhase: Phase? {
    for delivery in open {
      guard let events = delivery.events, delivery.step == .ready, let (numbers, receipt) = events.unsettled,
        events.mustSettle || !maySend
      else { continue }
      return .working(.settle(delivery.intent, .settled(numbers, receipt: receipt)))
    }
    return nil
  }

  /// What is next for a rejected event that is the lowest open one of the oldest batch.
  var condemnPhase: Phase? {
    mutating get {
      guard let oldest = open.first, let events = oldest.events, let front = events.front,
        case .rejected(let reason) = events.events[front].step
      else { return nil }
      if events.condemned == front {
        guard writesDeadLetters else { return writeDeadLetter(oldest.intent, reason) }
        return .working(.writeDeadLetter(oldest.intent, event: front, reason: reason))
      }
      if let tooMany = tooManyDeadLetters(reason) {
        // An operator who ends the halt wants them sent again.
        update(oldest.intent) { $0.events?.forgetRejections() }
        return tooMany
      }
      return .working(.settle(oldest.intent, .condemned(front, reason: reason)))
    }
  }

  /// An event that cannot be rendered is treated as if its destination had rejected it.
  mutating func unsendable(_ number: Int, of intent: Intent, _ error: SinkError) -> Phase {
    guard writesDeadLetters else { return halt(DeliveryTrouble(.unrenderable, error.description)) }
    update(intent) { $0.events?.events[number].step = .rejected(reason: error.message) }
    return next()
  }

  mutating func settled(_ intent: Intent, _ move: EventMove, _ cursor: CursorState) -> Phase {
    let entry = cursor.inFlight.first { $0.intent.id == intent.id }
    let isDone =
      switch move {
      case .settled(let numbers, _):
        entry.map { entry in entry.isDelivered || numbers.allSatisfy { entry.events?.contains($0) == true } }
          ?? (cursor.committed >= intent.end)
      case .condemned(let number, _): entry?.events?.condemned?.event == number
      }
    guard isDone else {
      let text = "events of delivery \(intent.id) were settled, and the cursor does not say so"
      return .ended(.failed(DeliveryTrouble(.defect, text)))
    }
    adopt(cursor)
    skippedSince = nil
    return next()
  }
}
