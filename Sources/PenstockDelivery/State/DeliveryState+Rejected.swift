import PenstockLog

// From a batch that is rejected, or cannot be rendered, to the record that is to blame. A batch of n records takes at most
// 2 · log₂ n further attempts for each guilty record.

extension DeliveryState {
  /// The lower half of a rejected batch takes its place; a single record is condemned.
  mutating func bisect(_ intent: Intent, _ reason: String) -> Phase {
    let count = intent.end - intent.first
    guard count == 1 else {
      let half = intent.first..<(intent.first + (count + 1) / 2)
      return begin(.plan(half, closedBy: .split, replacing: intent, rejectionReason: nil))
    }
    if let tooMany = tooManyCondemned(reason) {
      update(intent) { $0.step = .ready }
      return tooMany
    }
    return begin(.begin(intent, replacing: intent, rejectionReason: reason))
  }

  /// A new batch with a record that cannot be rendered: what stands before it goes first. Then it is tried in a batch
  /// by itself, because the error may have been about the batch; a record that cannot be rendered alone is condemned.
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
    if let tooMany = tooManyCondemned(error.message) {
      unfinished = .plan(range, closedBy: reason, replacing: old, rejectionReason: nil)
      return tooMany
    }
    return begin(.plan(guilty..<(guilty + 1), closedBy: .split, replacing: old, rejectionReason: error.message))
  }

  mutating func writeDeadLetter(_ intent: Intent, _ reason: String) -> Phase {
    guard writesDeadLetters else {
      let text = "record \(intent.first) is condemned (\(reason)), and no place for dead letters is given"
      return halt(DeliveryTrouble(.deadLettersFailed, text))
    }
    return .working(.writeDeadLetter(intent, reason: reason))
  }

  private mutating func tooManyCondemned(_ reason: String) -> Phase? {
    guard Int(cursor.consecutiveDeadLetters) >= maxCondemnedInRow else { return nil }
    let text =
      "\(cursor.consecutiveDeadLetters) records in a row became dead letters, and none was delivered between them; this one is"
      + " kept back. The last reason: \(reason)"
    return halt(DeliveryTrouble(.rejectsEverything, text))
  }
}
