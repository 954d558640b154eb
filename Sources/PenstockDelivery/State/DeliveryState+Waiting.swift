import PenstockLog

// Trouble, waiting, and what ends a wait.
//
// What a failing log does to a delivery:
//
//   work                      code                  next
//   any                       fenced                ended: another holder has the cursor
//   any                       closed                ended: the source is closed
//   any                       cancelled             ended: stopped
//   accumulate, plan, reopen, bisect
//                             io, overloaded        backing off: a read may succeed later
//                             any other             halted: damaged, lost or trimmed; an operator must decide
//   save                      noSpace, overloaded   continues: a crash only repeats the skipping
//                             any other             ended: its state on disk is uncertain until the log reopens
//   begin, commit, settle     noSpace, overloaded   backing off: nothing was written, and there may be room later
//   begin, commit, settle     gap                   halted: retention deleted the records; continues once acknowledged
//   begin, commit, settle     any other             ended: its state on disk is uncertain until the log reopens
//   write dead letter         any but cancelled     halted, retried as after a refusal: nothing is skipped

extension DeliveryState {
  mutating func failed(
    _ work: Work, _ code: LogError.Code, message: String, at now: MonotonicInstant, roll: UInt64
  ) -> Phase {
    seen = max(seen, now)
    if case .writeDeadLetter = work, code != .cancelled { return deadLetterFailed(message, at: now) }
    switch code {
    case .fenced: return .ended(.failed(DeliveryTrouble(.fenced, message)))
    case .closed: return .ended(.sourceClosed)
    case .cancelled: return .ended(.stopped)
    default: break
    }
    switch work {
    case .accumulate(let first) where isAhead(first): return notPlannedAhead()
    case .plan(let range, _, nil, nil) where isAhead(range.lowerBound): return notPlannedAhead()
    case .commit(_, _, .some) where code == .noSpace:
      // The commit alone may need less room.
      ahead = nil
      return next()
    case .accumulate, .plan, .reopen, .bisect:
      // Without the plan, the batch is accumulated again and ends before the lost records.
      if case .plan = work, code != .gap { unfinished = work }
      let trouble = DeliveryTrouble(.unreadable, message)
      guard code == .io || code == .overloaded else { return halt(trouble) }
      return wait(trouble, at: now, roll: roll)
    case .begin where code == .gap: return halt(DeliveryTrouble(.unreadable, message))
    case .commit(let intent, _, _) where code == .gap, .settle(let intent, _) where code == .gap:
      update(intent) { $0.step = .unrendered }
      return halt(DeliveryTrouble(.unreadable, message))
    case .save where code == .noSpace || code == .overloaded: return saveFailed()
    case .begin, .commit, .settle, .send, .writeDeadLetter, .save:
      let trouble = DeliveryTrouble(.cursorFailed, message)
      guard code == .noSpace || code == .overloaded else { return .ended(.failed(trouble)) }
      if case .begin = work { unfinished = work }
      return wait(trouble, at: now, roll: roll)
    }
  }

  private mutating func deadLetterFailed(_ message: String, at now: MonotonicInstant) -> Phase {
    halt(until: now + circuit.backoff.policy.refusedWait, DeliveryTrouble(.deadLettersFailed, message))
    return next()
  }

  private mutating func wait(_ trouble: DeliveryTrouble, at now: MonotonicInstant, roll: UInt64) -> Phase {
    backOff(trouble, until: now + circuit.failed(round: nil, at: now, retryAfter: nil, roll: roll))
    return next()
  }

  /// Suspends the delivery until a moment, or longer if it is suspended longer already.
  mutating func backOff(_ trouble: DeliveryTrouble, until: MonotonicInstant) {
    ahead = nil
    let backoff = circuit.backoff
    if case .until = mode, backoff.isTooLate(until) {
      let text = "after \(backoff.failures) failures in a row; the last: \(trouble.message)"
      ending = ending ?? .failed(DeliveryTrouble(.gaveUp, text))
    }
    guard var suspension else {
      return suspension = Suspension(trouble: trouble, until: until, needsOperator: false)
    }
    // A halt without an end stays: only an operator ends it.
    if let earlier = suspension.until { suspension.until = max(earlier, until) }
    if !suspension.needsOperator { suspension.trouble = trouble }
    self.suspension = suspension
  }

  /// Suspends the delivery until an operator, or a moment, ends it.
  mutating func halt(until: MonotonicInstant?, _ trouble: DeliveryTrouble) {
    ahead = nil
    if case .until = mode { ending = ending ?? .failed(trouble) }
    if let suspension, suspension.needsOperator, suspension.until == nil { return }
    let later = until.map { max($0, suspension?.until ?? $0) }
    suspension = Suspension(trouble: trouble, until: later, needsOperator: true)
  }

  mutating func halt(_ trouble: DeliveryTrouble) -> Phase {
    halt(until: nil, trouble)
    return next()
  }

  mutating func end(_ ending: Ending) -> Phase {
    self.ending = self.ending ?? ending
    return next()
  }

  /// Waking too early is not an error: the phase stays.
  mutating func wake(at now: MonotonicInstant) throws(IllegalEvent) {
    switch phase {
    case .backingOff, .halted(.some, _), .pacing, .working(.accumulate):
      seen = max(seen, now)
      if let until = suspension?.until, until <= seen { endSuspension() }
      phase = next()
    default: throw IllegalEvent(event: .wake(at: now), phase: phase)
    }
  }

  mutating func retryNow() {
    switch phase {
    case .backingOff, .halted:
      maxDeadLettersInRow = Int(cursor.consecutiveDeadLetters) + options.rejection.maxInRow
      endSuspension()
      phase = next()
    case .working, .sending, .pacing, .paused, .ended: break
    }
  }

  /// A stop that comes with the result of work: the result is handled, and no other work follows.
  mutating func stopAfterThis() { isStopping = true }

  mutating func stop() {
    isStopping = true
    switch phase {
    case .backingOff, .halted, .pacing, .sending, .paused, .working(.accumulate): phase = next()
    case .working, .ended: break
    }
  }

  mutating func pause() {
    isPaused = true
    ahead = nil
    switch phase {
    case .ended, .working(.commit(_, _, nil)), .working(.settle(_, .settled)): break
    default: phase = next()
    }
  }

  mutating func resume(at now: MonotonicInstant) {
    isPaused = false
    seen = max(seen, now)
    if let until = suspension?.until, until <= seen { endSuspension() }
    if case .working = phase { return }
    if case .ended = phase { return }
    phase = next()
  }

  /// The phase of a paused delivery. Drops everything that is not in the cursor: a resumed delivery renders it again.
  mutating func paused() -> Phase {
    if isInFlight { return .sending }
    // A caller that waits for an end must not wait for a pause of unknown length.
    if case .until = mode { return end(.paused) }
    unfinished = nil
    for index in open.indices where open[index].step == .ready {
      open[index].step = .unrendered
      open[index].events?.forgetRejections()
    }
    return .paused
  }
}
