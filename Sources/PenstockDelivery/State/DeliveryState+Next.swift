import PenstockLog

// What is to be done when no work is under way, and what an answer to an attempt changes.

extension DeliveryState {
  /// The order of what is done; see ``DeliveryState``.
  mutating func next() -> Phase {
    for lane in lanes where !isHeldByLog {
      if case .delivered(let receipt) = lane.step {
        return .working(.commit(lane.intent, receipt: receipt))
      }
    }
    if isStopping || ending != nil { return isInAir ? .sending : .ended(ending ?? .stopped) }
    if isPaused, !owesCommit { return paused() }
    if let waiting = held() { return waiting }
    if let head = lanes.first, case .rejectionReason(let reason) = head.step, head.intent.first == committed {
      return writeDeadLetter(head.intent, reason)
    }
    if let work = unfinished {
      unfinished = nil
      return .working(work)
    }
    if let head = lanes.first, case .rejected(let reason) = head.step { return bisect(head.intent, reason) }
    if let attempt = nextAttempt() { return attempt }
    if let part = cursor.reserved.first, part.lowerBound == committed {
      return .working(.plan(part, closedBy: .split, replacing: nil, rejectionReason: nil))
    }
    return nextBatch()
  }

  package var isInAir: Bool { lanes.contains(where: \.isInAir) || !abandoned.isEmpty }

  /// Whether what holds is the log or the cursor, so that commits have to wait, too.
  private var isHeldByLog: Bool {
    hold.map { $0.trouble.kind == .cursorFailed || $0.trouble.kind == .unreadable } ?? false
  }

  /// Whether something is delivered that could not be committed yet.
  private var owesCommit: Bool {
    lanes.contains { if case .delivered = $0.step { true } else { false } }
  }

  /// The phase of a destination that is held; nil when it is not, or no longer.
  private func held() -> Phase? {
    guard let hold else { return nil }
    if hold.needsPerson { return .halted(until: hold.until, hold.trouble) }
    return hold.until.map { .backingOff(until: $0, hold.trouble) }
  }

  mutating func release() {
    hold = nil
    circuit.waited()
  }

  /// Renders or sends the oldest lane that waits for it, as far as circuit and rate allow.
  private func nextAttempt() -> Phase? {
    let waiting = lanes.first { $0.step == .unrendered || $0.step == .ready }
    let flying = lanes.count(where: \.isInAir)
    guard let lane = waiting, flying < min(options.maxInFlight, circuit.maxAttempts ?? .max) else { return nil }
    if lane.step == .unrendered { return .working(.reopen(lane.intent)) }
    if let gate = [budget.earliest, drainGate].compactMap({ $0 }).max(), gate > seen { return .pacing(until: gate) }
    return .working(.send(lane.intent, attempt: lane.attempts + 1))
  }

  private mutating func nextBatch() -> Phase {
    if lanes.isEmpty, cursor.reserved.isEmpty, case .until(let end) = mode, committed >= end {
      return .ended(.caughtUp)
    }
    let isWanted = if case .until(let end) = mode { cursor.nextFirst < end } else { true }
    let isSmooth = lanes.allSatisfy(\.isSmooth) && cursor.reserved.isEmpty && circuit.state == .closed
    let hasRoom = cursor.inFlight.count < options.maxInFlight
    return isWanted && hasRoom && (isSmooth || lanes.isEmpty) ? .working(.accumulate(from: cursor.nextFirst)) : .sending
  }

  /// Begins work that a stopped or paused delivery does not begin.
  mutating func begin(_ work: Work) -> Phase {
    if isStopping || isPaused || ending != nil { return next() }
    return .working(work)
  }

  mutating func launched(_ intent: Intent, records: Int, bytes: Int, at now: MonotonicInstant) {
    seen = max(seen, now)
    // A batch of which a filter left nothing is not sent.
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
    let index = lanes.firstIndex { $0.intent.id == id }
    if abandoned.remove(id) == nil {
      guard let index, case .inFlight(let round) = lanes[index].step else {
        throw IllegalEvent(event: event, phase: phase)
      }
      seen = max(seen, now)
      note(outcome, of: index, round: round, at: now, roll: roll)
    }
    // Work that is under way is finished first.
    if case .working(let work) = phase {
      guard case .accumulate = work else { return }
    }
    phase = next()
  }

  private mutating func note(
    _ outcome: DeliveryOutcome, of index: Int, round: Int, at now: MonotonicInstant, roll: UInt64
  ) {
    lanes[index].step = .ready
    switch outcome {
    case .delivered(let receipt):
      circuit.succeeded(round: round, at: now)
      lanes[index].step = .delivered(receipt: receipt)
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
      // It has read the batch, so it is up.
      circuit.succeeded(round: round, at: now)
      guard writesDeadLetters else { return halt(until: nil, DeliveryTrouble(.rejected, reason)) }
      lanes[index].step = .rejected(reason: reason)
    case .conflict(let reason): halt(until: nil, DeliveryTrouble(.conflict, reason))
    }
  }
}
