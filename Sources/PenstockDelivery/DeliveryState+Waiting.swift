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

extension DeliveryState {
  mutating func failed(
    _ work: Work, _ code: LogError.Code, message: String, at now: Moment, roll: UInt64
  ) -> Phase {
    switch code {
    case .fenced: return .ended(.failed(DeliveryTrouble(.fenced, message)))
    case .closed: return .ended(.sourceClosed)
    case .cancelled: return .ended(.stopped)
    default: break
    }
    switch work {
    case .gather, .plan, .reopen:
      let trouble = DeliveryTrouble(.unreadable, message)
      guard code == .io || code == .overloaded else { return halt(work, trouble) }
      return backOff(work, trouble, at: now, retryAfter: nil, roll: roll)
    case .begin where code == .gap: return halt(.gather(from: committed), DeliveryTrouble(.unreadable, message))
    case .commit(let intent, _) where code == .gap:
      return halt(.reopen(intent), DeliveryTrouble(.unreadable, message))
    case .begin, .commit, .send:
      let trouble = DeliveryTrouble(.cursorFailed, message)
      guard code == .noSpace || code == .overloaded else { return .ended(.failed(trouble)) }
      return backOff(work, trouble, at: now, retryAfter: nil, roll: roll)
    }
  }

  mutating func backOff(
    _ next: Work, _ trouble: DeliveryTrouble, at now: Moment, retryAfter: Duration?, roll: UInt64
  ) -> Phase {
    let until = now + backoff.failed(at: now, retryAfter: retryAfter, roll: roll)
    if isStopping { return .ended(.stopped) }
    if case .until = mode, backoff.isTooLate(until) {
      let text = "after \(backoff.failures) failures in a row; the last: \(trouble.message)"
      return .ended(.failed(DeliveryTrouble(.gaveUp, text)))
    }
    return .backingOff(next, until: until, trouble)
  }

  func halt(_ next: Work, until: Moment? = nil, _ trouble: DeliveryTrouble) -> Phase {
    if case .until = mode { return .ended(.failed(trouble)) }
    return isStopping ? .ended(.stopped) : .halted(next, until: until, trouble)
  }

  /// Too early is not an error: the phase stays.
  mutating func wake(at now: Moment) throws(IllegalEvent) {
    switch phase {
    case .backingOff(let next, let until, _), .halted(let next, let until?, _):
      if now >= until { phase = .working(next) }
    default: throw IllegalEvent(event: .wake(at: now), phase: phase)
    }
  }

  mutating func resume() {
    switch phase {
    case .backingOff(let next, _, _), .halted(let next, _, _): phase = .working(next)
    case .working, .ended: break
    }
  }

  mutating func stop() {
    isStopping = true
    switch phase {
    case .backingOff, .halted, .working(.gather): phase = .ended(.stopped)
    case .working, .ended: break
    }
  }
}
