import Logging
import PenstockLog

// A pause is durable beside the cursor and may be put on and taken off by any process. So it is looked at before anything is
// begun: one look at a file's name for each batch and each attempt, and nothing that waits has to wake up for it. Only a
// paused delivery looks again by itself, once a second, for it has nothing else to wake it.

extension DeliveryRunner {
  static let pauseLook: Duration = .seconds(1)

  /// The change of the pause, if what comes next would begin something.
  mutating func lookAtPause() async -> DeliveryState.Event? {
    guard !state.isPaused, !state.isStopping, case .working(let work) = state.phase else { return nil }
    switch work {
    case .begin, .commit: return nil
    case .accumulate, .plan, .reopen, .send, .writeDeadLetter: return await changeOfPause()
    }
  }

  /// Waits until a person lets the delivery go on, or it is stopped.
  mutating func waitWhilePaused() async -> DeliveryState.Event {
    while true {
      if mustStop { return .stop }
      if let change = await changeOfPause() { return change }
      // Nothing waits that could be tried now.
      commands.update { $0.retry = false }
      _ = await wait(recordsPast: nil, until: dependencies.clock.now() + Self.pauseLook)
    }
  }

  /// What the state has to be told of the pause as it stands now; nil when it knows.
  mutating func changeOfPause() async -> DeliveryState.Event? {
    commands.update { $0.pauseChanged = false }
    let now: CursorPause?
    do throws(LogError) { now = try await lease.currentPause() } catch {
      // Not known to have changed, so it has not.
      dependencies.logger.error("cannot see whether the destination is paused", metadata: ["error": "\(error)"])
      return nil
    }
    guard (now != nil) != state.isPaused else { return nil }
    pause = now
    if let now {
      dependencies.logger.notice("delivery paused by a person", metadata: ["reason": "\(now.reason)"])
      observer?(.paused(now))
      return .pause
    }
    dependencies.logger.notice("delivery goes on after a pause")
    observer?(.resumed)
    return .resume(at: dependencies.clock.now())
  }
}
