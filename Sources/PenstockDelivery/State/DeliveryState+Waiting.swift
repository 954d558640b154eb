import PenstockLog

// Trouble, waiting, and the ways out of it.
//
// What a failing log does to a delivery:
//
//   work                  code                       next
//   any                   fenced                     ended: another holder goes on
//   any                   closed                     ended: the source is closed
//   any                   cancelled                  ended: stopped
//   gather, plan, reopen  io, overloaded             backing off: a read may succeed later
//   gather, plan, reopen  any other                  halted: records are damaged, lost or trimmed; a person must decide
//   begin, commit         noSpace, overloaded        backing off: nothing was written, and there may be room later
//   begin, commit         gap                        halted: retention took the records; acknowledged, it goes on behind
//   begin, commit         any other                  ended: the cursor's state on disk is uncertain; only opening the log
//                                                    again settles it
//   bury                  any but cancelled          halted, tried again as after a refusal: nothing is skipped

extension DeliveryState {
  mutating func failed(
    _ work: Work, _ code: LogError.Code, message: String, at now: MonotonicInstant, roll: UInt64
  ) -> Phase {
    seen = max(seen, now)
    if case .writeDeadLetter = work, code != .cancelled { return buryingFailed(message, at: now) }
    switch code {
    case .fenced: return .ended(.failed(DeliveryTrouble(.fenced, message)))
    case .closed: return .ended(.sourceClosed)
    case .cancelled: return .ended(.stopped)
    default: break
    }
    switch work {
    case .accumulate, .plan, .reopen:
      // Records that were lost since they were gathered: gathered again, the batch ends before them.
      if case .plan = work, code != .gap { unfinished = work }
      let trouble = DeliveryTrouble(.unreadable, message)
      guard code == .io || code == .overloaded else { return halt(trouble) }
      return wait(trouble, at: now, roll: roll)
    case .begin where code == .gap: return halt(DeliveryTrouble(.unreadable, message))
    case .commit(let intent, _) where code == .gap:
      update(intent) { $0.step = .unrendered }
      return halt(DeliveryTrouble(.unreadable, message))
    case .begin, .commit, .send, .writeDeadLetter:
      let trouble = DeliveryTrouble(.cursorFailed, message)
      guard code == .noSpace || code == .overloaded else { return .ended(.failed(trouble)) }
      if case .begin = work { unfinished = work }
      return wait(trouble, at: now, roll: roll)
    }
  }

  private mutating func buryingFailed(_ message: String, at now: MonotonicInstant) -> Phase {
    halt(until: now + circuit.backoff.policy.refusedWait, DeliveryTrouble(.deadLettersFailed, message))
    return next()
  }

  private mutating func wait(_ trouble: DeliveryTrouble, at now: MonotonicInstant, roll: UInt64) -> Phase {
    backOff(trouble, until: now + circuit.failed(round: nil, at: now, retryAfter: nil, roll: roll))
    return next()
  }

  /// Holds the destination until a moment, or longer if it is held already.
  mutating func backOff(_ trouble: DeliveryTrouble, until: MonotonicInstant) {
    let backoff = circuit.backoff
    if case .until = mode, backoff.isTooLate(until) {
      let text = "after \(backoff.failures) failures in a row; the last: \(trouble.message)"
      ending = ending ?? .failed(DeliveryTrouble(.gaveUp, text))
    }
    guard var hold else { return hold = Hold(trouble: trouble, until: until, needsPerson: false) }
    // A person's halt without an end stays one.
    if let held = hold.until { hold.until = max(held, until) }
    if !hold.needsPerson { hold.trouble = trouble }
    self.hold = hold
  }

  /// Holds the destination until a person, or a moment, ends it.
  mutating func halt(until: MonotonicInstant?, _ trouble: DeliveryTrouble) {
    if case .until = mode { ending = ending ?? .failed(trouble) }
    if let hold, hold.needsPerson, hold.until == nil { return }
    let later = until.map { max($0, hold?.until ?? $0) }
    hold = Hold(trouble: trouble, until: later, needsPerson: true)
  }

  mutating func halt(_ trouble: DeliveryTrouble) -> Phase {
    halt(until: nil, trouble)
    return next()
  }

  mutating func end(_ ending: Ending) -> Phase {
    self.ending = self.ending ?? ending
    return next()
  }

  /// Too early is not an error: the phase stays.
  mutating func wake(at now: MonotonicInstant) throws(IllegalEvent) {
    switch phase {
    case .backingOff, .halted(.some, _), .pacing:
      seen = max(seen, now)
      if let until = hold?.until, until <= seen { release() }
      phase = next()
    default: throw IllegalEvent(event: .wake(at: now), phase: phase)
    }
  }

  mutating func retryNow() {
    switch phase {
    case .backingOff, .halted:
      maxCondemnedInRow = Int(cursor.consecutiveDeadLetters) + options.rejection.maxInRow
      release()
      phase = next()
    case .working, .sending, .pacing, .paused, .ended: break
    }
  }

  mutating func stop() {
    isStopping = true
    switch phase {
    case .backingOff, .halted, .pacing, .sending, .paused, .working(.accumulate): phase = next()
    case .working, .ended: break
    }
  }

  mutating func pause() {
    isPaused = true
    switch phase {
    case .ended, .working(.commit): break
    default: phase = next()
    }
  }

  mutating func resume(at now: MonotonicInstant) {
    isPaused = false
    seen = max(seen, now)
    if let until = hold?.until, until <= seen { release() }
    if case .working = phase { return }
    if case .ended = phase { return }
    phase = next()
  }

  /// The phase of a paused delivery, with everything let go that is not in the cursor: it comes of it again.
  mutating func paused() -> Phase {
    if isInAir { return .sending }
    // Nobody can say how long the pause lasts, and who called waits for an end.
    if case .until = mode { return end(.paused) }
    unfinished = nil
    for index in lanes.indices where lanes[index].step == .ready { lanes[index].step = .unrendered }
    return .paused
  }
}
