import PenstockLog

// One more batch is planned and rendered while as many are open as may be. Then the write that commits the oldest also
// begins that one: a sync less for each batch.

extension DeliveryState {
  /// Whether a batch that begins at `first`, and is being gathered or planned, has no room yet.
  func isAhead(_ first: Offset) -> Bool {
    plansAhead && cursor.inFlight.count >= maxOpen && cursor.reserved.isEmpty && first == cursor.nextFirst
  }

  /// Whether the batch is open, or about to be.
  func holds(_ intent: Intent) -> Bool {
    for work in [phase.work, unfinished] { if case .begin(intent, _, _) = work { return true } }
    return open.contains { $0.intent == intent }
  }

  mutating func planned(ahead intent: Intent) -> Phase {
    if !isStopping, !isPaused, ending == nil { ahead = intent }
    return next()
  }

  /// What failed is tried again when there is room, and then handled. Until then it keeps nothing from being committed.
  mutating func notPlannedAhead() -> Phase {
    isAheadBlocked = true
    return next()
  }

  /// Whether the write that commits `intent` may begin the batch that is planned ahead.
  func mayBegin(withCommitOf intent: Intent) -> Bool {
    // A commit in the middle makes no room.
    guard intent.first == committed, !isStopping, !isPaused, ending == nil, suspension == nil else { return false }
    return isSmooth
  }

  /// Begins it alone.
  var aheadPhase: Phase? {
    guard let ahead, cursor.inFlight.count < maxOpen, isSmooth else { return nil }
    return .working(.begin(ahead, replacing: nil, rejectionReason: nil))
  }

  /// Whether no open delivery is in trouble.
  var isSmooth: Bool { open.allSatisfy(\.isSmooth) && cursor.reserved.isEmpty && circuit.state == .closed }
}

extension DeliveryState.Phase {
  fileprivate var work: DeliveryState.Work? { if case .working(let work) = self { work } else { nil } }
}
