import Logging
import PenstockLog

// A pause is stored durably next to the cursor, and any process may set or remove it. So the delivery checks for it
// before it begins anything: one look at a file's name for each batch and each attempt. A delivery that waits need not
// wake up for a pause. Only a paused delivery checks again by itself, once a second, because nothing else wakes it.

extension DeliveryRunner {
  static let pauseLook: Duration = .seconds(1)

  /// The change of the pause, if the next work would begin something.
  mutating func lookAtPause() async -> DeliveryState.Event? {
    guard !state.isPaused, !state.isStopping, case .working(let work) = state.phase else { return nil }
    switch work {
    case .begin, .commit(_, _, nil), .save, .settle: return nil
    case .commit, .accumulate, .plan, .reopen, .bisect, .send, .writeDeadLetter: return await changeOfPause()
    }
  }

  /// Waits until an operator resumes the destination, or the delivery is stopped. Nil: it has to wait.
  mutating func waitWhilePaused() async -> DeliveryState.Event? {
    woken = nil
    if mustStop { return .stop }
    if let change = await changeOfPause() { return change }
    // A paused delivery has no attempt that could be made now.
    commands.update { $0.retry = false }
    wait = Wait(deadline: environment.clock.now() + Self.pauseLook)
    return nil
  }

  /// The event for the state when the pause has changed; nil when it has not.
  mutating func changeOfPause() async -> DeliveryState.Event? {
    commands.update { $0.pauseChanged = false }
    let now: CursorPause?
    do throws(LogError) { now = try await lease.currentPause() } catch {
      // An unreadable pause counts as unchanged.
      environment.logger.error(
        "cannot read whether the destination is paused", metadata: subject.metadata(["error": "\(error)"]))
      return nil
    }
    guard (now != nil) != state.isPaused else { return nil }
    pause = now
    if let now {
      environment.logger.notice(
        "delivery paused by an operator", metadata: subject.metadata(["reason": "\(now.reason)"]))
      environment.observer?(.paused(now))
      return .pause
    }
    environment.logger.notice("delivery resumed after a pause", metadata: subject.metadata())
    environment.observer?(.resumed)
    return .resume(at: environment.clock.now())
  }
}
