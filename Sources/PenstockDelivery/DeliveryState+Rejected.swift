import PenstockLog

// From a batch that is rejected, or cannot be rendered, to the record that is to blame. A batch of n records takes at most
// 2 · log₂ n further attempts for each guilty record.

extension DeliveryState {
  /// The lower half of a rejected batch takes its place; a single record is condemned.
  mutating func takeApart(_ intent: Intent, _ reason: String) -> Phase {
    let count = intent.end - intent.first
    guard count == 1 else {
      let half = intent.first..<(intent.first + (count + 1) / 2)
      return begin(.plan(half, closedBy: .split, replacing: intent, condemned: nil))
    }
    if let tooMany = tooManyCondemned(reason) {
      update(intent) { $0.step = .ready }
      return tooMany
    }
    return begin(.begin(intent, replacing: intent, condemned: reason))
  }

  /// A new batch with a record that cannot be rendered: what stands before it goes first. Then it is tried in a batch
  /// by itself, because the error may have been about the batch; a record that cannot be rendered alone is condemned.
  mutating func unrenderable(
    _ range: Range<Offset>, closedBy reason: CloseReason, replacing old: Intent?, _ error: SinkError
  ) -> Phase {
    guard buries, let guilty = error.offset, range.contains(guilty) else {
      unfinished = .plan(range, closedBy: reason, replacing: old, condemned: nil)
      return halt(DeliveryTrouble(.unrenderable, error.description))
    }
    if guilty > range.lowerBound {
      return begin(.plan(range.lowerBound..<guilty, closedBy: .split, replacing: old, condemned: nil))
    }
    guard guilty + 1 == range.upperBound else {
      return begin(.plan(guilty..<(guilty + 1), closedBy: .split, replacing: old, condemned: nil))
    }
    if let tooMany = tooManyCondemned(error.message) {
      unfinished = .plan(range, closedBy: reason, replacing: old, condemned: nil)
      return tooMany
    }
    return begin(.plan(guilty..<(guilty + 1), closedBy: .split, replacing: old, condemned: error.message))
  }

  mutating func bury(_ intent: Intent, _ reason: String) -> Phase {
    guard buries else {
      let text = "record \(intent.first) is condemned (\(reason)), and no place for dead letters is given"
      return halt(DeliveryTrouble(.deadLettersFailed, text))
    }
    return .working(.bury(intent, reason: reason))
  }

  private mutating func tooManyCondemned(_ reason: String) -> Phase? {
    guard Int(cursor.condemnedInRow) >= maxCondemnedInRow else { return nil }
    let text =
      "\(cursor.condemnedInRow) records in a row became dead letters, and none was delivered between them; this one is"
      + " kept back. The last reason: \(reason)"
    return halt(DeliveryTrouble(.rejectsEverything, text))
  }
}
