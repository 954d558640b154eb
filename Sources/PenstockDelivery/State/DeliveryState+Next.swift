import PenstockLog

// What to do when no work is under way, and what the answer to an attempt changes.

extension DeliveryState {
  /// One rule: what to do next, or nil when it does not apply. A rule changes the state only when it applies.
  package typealias Rule = @Sendable (inout DeliveryState) -> Phase?

  /// What to do next, in the order of the list at ``DeliveryState``. The first rule that applies wins; the last one
  /// always does.
  package static let priorities: [(name: String, rule: Rule)] = [
    ("commit", { $0.commitPhase }),
    ("save", { $0.savePhase }),
    ("end", { $0.endingPhase }),
    ("pause", { $0.isPaused && !$0.owesCommit ? $0.paused() : nil }),
    ("suspend", { $0.suspendedPhase }),
    ("dead letter", { $0.nextDeadLetter() }),
    ("unfinished", { $0.takeUnfinished() }),
    ("bisect", { $0.nextBisection() }),
    ("attempt", { $0.attemptPhase }),
    ("reserved", { $0.reservedPhase }),
    ("caught up", { $0.isCaughtUp ? .ended(.caughtUp) : nil }),
    ("accumulate", { $0.mayAccumulate ? .working(.accumulate(from: $0.cursor.nextFirst)) : nil }),
    ("answers", { _ in .sending }),
  ]

  mutating func next() -> Phase {
    for (_, rule) in Self.priorities {
      if let phase = rule(&self) { return phase }
    }
    return .sending
  }

  package var isInFlight: Bool { open.contains(where: \.isInFlight) || !abandoned.isEmpty }

  private var commitPhase: Phase? {
    guard !isSuspendedByLog else { return nil }
    for delivery in open {
      if case .delivered(let receipt) = delivery.step { return .working(.commit(delivery.intent, receipt: receipt)) }
    }
    return nil
  }

  private var endingPhase: Phase? {
    guard isStopping || ending != nil else { return nil }
    return isInFlight ? .sending : .ended(ending ?? .stopped)
  }

  /// Nil when nothing suspends the delivery.
  private var suspendedPhase: Phase? {
    guard let suspension else { return nil }
    if suspension.needsOperator { return .halted(until: suspension.until, suspension.trouble) }
    return suspension.until.map { .backingOff(until: $0, suspension.trouble) }
  }

  private mutating func nextDeadLetter() -> Phase? {
    guard let oldest = open.first, case .deadLetter(let reason) = oldest.step, oldest.intent.first == committed else {
      return nil
    }
    return writeDeadLetter(oldest.intent, reason)
  }

  private mutating func takeUnfinished() -> Phase? {
    defer { unfinished = nil }
    return unfinished.map { .working($0) }
  }

  private mutating func nextBisection() -> Phase? {
    guard let oldest = open.first, case .rejected(let reason) = oldest.step, oldest.intent.first == committed else {
      return nil
    }
    return .working(.bisect(oldest.intent, reason: reason))
  }

  /// Renders or sends the oldest open delivery that waits for it, as far as circuit and rate allow.
  private var attemptPhase: Phase? {
    let waiting = open.first { $0.step == .unrendered || $0.step == .ready }
    let attempts = open.count(where: \.isInFlight)
    guard let waiting, attempts < min(options.maxInFlight, circuit.maxAttempts ?? .max) else { return nil }
    if waiting.step == .unrendered { return .working(.reopen(waiting.intent)) }
    if let gate = [budget.earliest, drainGate].compactMap({ $0 }).max(), gate > seen { return .pacing(until: gate) }
    return .working(.send(waiting.intent, attempt: waiting.attempts + 1))
  }

  private var reservedPhase: Phase? {
    guard let part = cursor.reserved.first, part.lowerBound == committed else { return nil }
    return .working(.plan(part, closedBy: .split, replacing: nil, rejectionReason: nil))
  }

  var isCaughtUp: Bool {
    guard case .until(let end) = mode else { return false }
    return open.isEmpty && cursor.reserved.isEmpty && committed >= end
  }

  /// Whether a new batch may begin: it is wanted, there is room, and no open delivery is in trouble.
  private var mayAccumulate: Bool {
    let isWanted = if case .until(let end) = mode { cursor.nextFirst < end } else { true }
    let isSmooth = open.allSatisfy(\.isSmooth) && cursor.reserved.isEmpty && circuit.state == .closed
    let hasRoom = cursor.inFlight.count < options.maxInFlight
    return isWanted && hasRoom && (isSmooth || open.isEmpty)
  }

  /// Whether the log or the cursor suspends the delivery, so that commits have to wait, too.
  var isSuspendedByLog: Bool {
    suspension.map { $0.trouble.kind == .cursorFailed || $0.trouble.kind == .unreadable } ?? false
  }

  /// Whether a batch is delivered and not committed yet.
  private var owesCommit: Bool {
    open.contains { if case .delivered = $0.step { true } else { false } }
  }

  mutating func endSuspension() {
    suspension = nil
    circuit.waited()
  }

  /// Begins work, unless the delivery is stopping, paused or ending.
  mutating func begin(_ work: Work) -> Phase {
    if isStopping || isPaused || ending != nil { return next() }
    return .working(work)
  }

  mutating func launched(_ intent: Intent, records: Int, bytes: Int, at now: MonotonicInstant) {
    seen = max(seen, now)
    // A batch that a filter left empty is not charged: the sink sends nothing.
    if records > 0 { budget.charge(records: records, bytes: bytes, at: now) }
    drainGate = circuit.spacing(at: now).map { now + $0 }
    let round = circuit.round
    update(intent) {
      $0.step = .inFlight(round: round)
      $0.attempts += 1
    }
  }

  mutating func answered(
    _ id: DeliveryID, _ outcome: DeliveryOutcome, _ event: Event, at now: MonotonicInstant, roll: UInt64
  ) throws(IllegalEvent) {
    if case .ended = phase { throw IllegalEvent(event: event, phase: phase) }
    let index = open.firstIndex { $0.intent.id == id }
    if abandoned.remove(id) == nil {
      guard let index, case .inFlight(let round) = open[index].step else {
        throw IllegalEvent(event: event, phase: phase)
      }
      seen = max(seen, now)
      note(outcome, of: index, round: round, at: now, roll: roll)
    }
    // The work under way comes first.
    if case .working(let work) = phase {
      guard case .accumulate = work else { return }
    }
    phase = next()
  }

  private mutating func note(
    _ outcome: DeliveryOutcome, of index: Int, round: Int, at now: MonotonicInstant, roll: UInt64
  ) {
    open[index].step = .ready
    switch outcome {
    case .delivered(let receipt):
      circuit.succeeded(round: round, at: now)
      open[index].step = .delivered(receipt: receipt)
    case .retry(let reason, let after):
      let wait = circuit.failed(round: round, at: now, retryAfter: after, roll: roll)
      backOff(DeliveryTrouble(.unavailable, reason), until: now + wait)
    case .refused(let reason):
      circuit.refused()
      halt(until: now + circuit.backoff.policy.refusedWait, DeliveryTrouble(.refused, reason))
    case .disabled(let reason):
      circuit.refused()
      halt(until: nil, DeliveryTrouble(.disabled, reason))
    case .rejected(let reason):
      // The destination has read the batch, so it is up.
      circuit.succeeded(round: round, at: now)
      guard writesDeadLetters else { return halt(until: nil, DeliveryTrouble(.rejected, reason)) }
      open[index].step = .rejected(reason: reason)
    case .conflict(let reason): halt(until: nil, DeliveryTrouble(.conflict, reason))
    }
  }
}
