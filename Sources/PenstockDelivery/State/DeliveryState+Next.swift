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
    ("ahead", { $0.aheadPhase }),
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
      if case .delivered(let receipt) = delivery.step {
        let next = mayBegin(withCommitOf: delivery.intent) ? ahead : nil
        return .working(.commit(delivery.intent, receipt: receipt, beginning: next))
      }
    }
    return settlePhase
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
    guard let oldest = open.first, oldest.intent.first == committed else { return nil }
    if case .deadLetter(let reason) = oldest.step { return writeDeadLetter(oldest.intent, reason) }
    return oldest.step == .ready ? condemnPhase : nil
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
    let attempts = open.reduce(0) { $0 + $1.inFlight }
    guard attempts < min(options.maxInFlight, circuit.maxAttempts ?? .max), let waiting = firstToSend else {
      return nil
    }
    if case .reopen = waiting { return .working(waiting) }
    if let gate = [budget.earliest, drainGate].compactMap({ $0 }).max(), gate > seen { return .pacing(until: gate) }
    return .working(waiting)
  }

  /// The work for the oldest open delivery, or the lowest of its events, that waits to be rendered or sent.
  private var firstToSend: Work? {
    var most = maxDeadLettersInRow - Int(cursor.consecutiveDeadLetters)
    for delivery in open {
      if delivery.step == .unrendered { return .reopen(delivery.intent) }
      guard delivery.step == .ready else { continue }
      guard let events = delivery.events else { return .send(delivery.intent, attempt: delivery.attempts + 1) }
      guard let number = events.next(mostRejected: most) else {
        most -= events.rejected
        if most <= 0, events.rejected > 0 { return nil }
        continue
      }
      return .send(delivery.intent, event: number, attempt: events.events[number].attempts + 1)
    }
    return nil
  }

  /// Whether something can be rendered or sent at once.
  var maySend: Bool {
    guard !isStopping, !isPaused, ending == nil, suspension == nil, case .working = attemptPhase else { return false }
    return true
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
    let mayPlanAhead = plansAhead && cursor.inFlight.count == maxOpen && ahead == nil && !isAheadBlocked
    let hasRoom = cursor.inFlight.count < maxOpen || mayPlanAhead
    return isWanted && hasRoom && (isSmooth || open.isEmpty)
  }

  /// Whether the log or the cursor suspends the delivery, so that commits have to wait, too.
  var isSuspendedByLog: Bool {
    suspension.map { $0.trouble.kind == .cursorFailed || $0.trouble.kind == .unreadable } ?? false
  }

  /// Whether a batch is delivered and not committed yet.
  private var owesCommit: Bool {
    open.contains { if case .delivered = $0.step { true } else { $0.events?.unsettled != nil } }
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

  mutating func launched(_ intent: Intent, _ number: Int?, records: Int, bytes: Int, at now: MonotonicInstant) {
    seen = max(seen, now)
    // A batch that a filter left empty is not charged: the sink sends nothing.
    if records > 0 { budget.charge(records: records, bytes: bytes, at: now) }
    drainGate = circuit.spacing(at: now).map { now + $0 }
    let round = circuit.round
    update(intent) {
      guard let number else {
        $0.step = .inFlight(round: round)
        $0.attempts += 1
        return
      }
      $0.events?.events[number].step = .inFlight(round: round)
      $0.events?.events[number].attempts += 1
    }
  }

  mutating func answered(
    _ id: DeliveryID, _ number: Int?, _ outcome: DeliveryOutcome, _ event: Event, at now: MonotonicInstant,
    roll: UInt64
  ) throws(IllegalEvent) {
    if case .ended = phase { throw IllegalEvent(event: event, phase: phase) }
    if let count = abandoned[id] {
      abandoned[id] = count > 1 ? count - 1 : nil
    } else {
      guard let index = open.firstIndex(where: { $0.intent.id == id }), let round = open[index].round(of: number) else {
        throw IllegalEvent(event: event, phase: phase)
      }
      seen = max(seen, now)
      let answer = note(outcome, round: round, at: now, roll: roll)
      if let number { open[index].note(answer, of: number) } else { open[index].note(answer) }
    }
    switch phase {
    // A commit begins nothing ahead once there is trouble.
    case .working(.accumulate), .working(.commit(_, _, .some)): phase = next()
    // The work under way comes first.
    case .working: break
    default: phase = next()
    }
  }

  /// What an answer means for its batch or event.
  enum Answer { case again, delivered(receipt: String), rejected(reason: String) }

  private mutating func note(
    _ outcome: DeliveryOutcome, round: Int, at now: MonotonicInstant, roll: UInt64
  ) -> Answer {
    switch outcome {
    case .delivered(let receipt):
      circuit.succeeded(round: round, at: now)
      return .delivered(receipt: receipt)
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
      if writesDeadLetters { return .rejected(reason: reason) }
      halt(until: nil, DeliveryTrouble(.rejected, reason))
    case .conflict(let reason): halt(until: nil, DeliveryTrouble(.conflict, reason))
    }
    return .again
  }
}

extension DeliveryState.OpenDelivery {
  /// The round in which the batch, or one event of it, was sent; nil when it is not in flight.
  fileprivate func round(of number: Int?) -> Int? {
    if let number {
      guard let events, events.events.indices.contains(number),
        case .inFlight(let round) = events.events[number].step
      else { return nil }
      return round
    }
    if case .inFlight(let round) = step { return round }
    return nil
  }

  fileprivate mutating func note(_ answer: DeliveryState.Answer) {
    step =
      switch answer {
      case .again: .ready
      case .delivered(let receipt): .delivered(receipt: receipt)
      case .rejected(let reason): .rejected(reason: reason)
      }
  }

  fileprivate mutating func note(_ answer: DeliveryState.Answer, of number: Int) {
    events?.events[number].step =
      switch answer {
      case .again: .ready
      case .delivered(let receipt): .confirmed(receipt: receipt)
      case .rejected(let reason): .rejected(reason: reason)
      }
  }
}
