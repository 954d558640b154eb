import PenstockLog

// Records that the selection leaves out. While nothing is open, the cursor passes them in memory, and its position is
// written with the next batch, or here. While something is open, they are the front of the next batch.

extension DeliveryState {
  /// How long the cursor may be ahead of what is durable of it.
  package static let saveAfter: Duration = .seconds(5)

  /// When the position has to be written; nil while it is durable.
  package var saveDue: MonotonicInstant? { skippedSince.map { $0 + Self.saveAfter } }

  /// Nil when the cursor is no further than before. `savesAtOnce`: the position is written now, not after a while.
  mutating func skipped(_ cursor: CursorState, savesAtOnce: Bool, at now: MonotonicInstant) -> Phase? {
    guard open.isEmpty, cursor.inFlight.isEmpty, cursor.committed > committed else { return nil }
    self.cursor = cursor
    seen = max(seen, now)
    skippedSince = savesAtOnce ? MonotonicInstant(sinceStart: seen.sinceStart - Self.saveAfter) : skippedSince ?? now
    return next()
  }

  /// Writes the position when it is due, and before an end, a pause or *caught up* is reported.
  var savePhase: Phase? {
    guard let due = saveDue else { return nil }
    return mustBeSaved || due <= seen && !isSuspendedByLog ? .working(.save) : nil
  }

  /// Whether an operator is about to see that the delivery does nothing more.
  private var mustBeSaved: Bool { isStopping || isPaused || ending != nil || isCaughtUp }

  /// On a full disk. The records are read again after a crash, which is no reason to stay.
  mutating func saveFailed() -> Phase {
    skippedSince = mustBeSaved ? nil : seen
    return next()
  }
}
