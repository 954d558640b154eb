import PenstockLog

// How a batch that is rejected, or cannot be rendered, is narrowed down to the record to blame. A batch of n events
// takes at most 2 · log₂ n further attempts for each such record, however many records lie between them.

extension DeliveryState {
  /// Replaces a rejected batch by its one event, which becomes a dead letter.
  mutating func isolated(_ record: Intent, of intent: Intent, _ reason: String) -> Phase {
    if let tooMany = tooManyDeadLetters(reason) {
      // A pause before this may have dropped the rendering.
      update(intent) { $0.step = .unrendered }
      return tooMany
    }
    return begin(.begin(record, replacing: intent, rejectionReason: reason))
  }

  /// Handles a new batch with a record that cannot be rendered. The records before it go first. Then the record is
  /// tried in a batch by itself, because the error may have been about the batch. It becomes a dead letter when it
  /// cannot be rendered alone either.
  mutating func unrenderable(
    _ range: Range<Offset>, closedBy reason: CloseReason, replacing old: Intent?, _ error: SinkError
  ) -> Phase {
    guard writesDeadLetters, let guilty = error.offset, range.contains(guilty) else {
      unfinished = .plan(range, closedBy: reason, replacing: old, rejectionReason: nil)
      return halt(DeliveryTrouble(.unrenderable, error.description))
    }
    if guilty > range.lowerBound {
      return begin(.plan(range.lowerBound..<guilty, closedBy: .split, replacing: old, rejectionReason: nil))
    }
    guard guilty + 1 == range.upperBound else {
      return begin(.plan(guilty..<(guilty + 1), closedBy: .split, replacing: old, rejectionReason: nil))
    }
    if let tooMany = tooManyDeadLetters(error.message) {
      unfinished = .plan(range, closedBy: reason, replacing: old, rejectionReason: nil)
      return tooMany
    }
    return begin(.plan(guilty..<(guilty + 1), closedBy: .split, replacing: old, rejectionReason: error.message))
  }

  mutating func writeDeadLetter(_ intent: Intent, _ reason: String) -> Phase {
    guard writesDeadLetters else {
      let text = "record \(intent.first) is rejected (\(reason)), and the delivery has no dead-letter store"
      return halt(DeliveryTrouble(.deadLettersFailed, text))
    }
    return .working(.writeDeadLetter(intent, reason: reason))
  }

  mutating func tooManyDeadLetters(_ reason: String) -> Phase? {
    guard Int(cursor.consecutiveDeadLetters) >= maxDeadLettersInRow else { return nil }
    let text =
      "\(cursor.consecutiveDeadLetters) records in a row became dead letters, and none was delivered between them;"
      + " this one is kept back. The last reason: \(reason)"
    return halt(DeliveryTrouble(.rejectsEverything, text))
  }
}
