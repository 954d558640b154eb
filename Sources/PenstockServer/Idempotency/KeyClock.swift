import PenstockLog
import Synchronization

/// The clock that decides when idempotency keys are forgotten. One wrong reading of the machine's clock does not move
/// it; see ``LogClock``. Any other clock is used unchecked.
final class KeyClock: Sendable {
  private let wall: any WallClock
  private let pace: (any MonotonicClock)?
  private let clock: Mutex<LogClock>

  /// - Parameter pace: the monotonic clock that checks the wall clock; nil: the machine's, if the wall clock is the
  ///   machine's too.
  init(_ wall: any WallClock, pace: (any MonotonicClock)?) {
    let pace = pace ?? (wall is SystemWallClock ? SystemMonotonicClock() : nil)
    (self.wall, self.pace) = (wall, pace)
    clock = Mutex(Self.started(wall, pace, newest: nil))
  }

  /// Restarts the clock. Until one minute has confirmed the wall clock, it advances at most one day past the newest
  /// key.
  func begin(newest seconds: Int64?) {
    let newest = seconds.map { seconds in
      let (nanoseconds, isTooFar) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
      return Timestamp(nanoseconds: isTooFar ? (seconds < 0 ? .min : .max) : nanoseconds)
    }
    let started = Self.started(wall, pace, newest: newest)
    clock.withLock { $0 = started }
  }

  var seconds: Int64 {
    guard pace != nil else { return wall.now().nanoseconds / 1_000_000_000 }
    return clock.withLock { $0.ageTime(Self.reading(wall, pace)).nanoseconds / 1_000_000_000 }
  }

  private static func started(_ wall: any WallClock, _ pace: (any MonotonicClock)?, newest: Timestamp?) -> LogClock {
    LogClock(newest: newest, readings: (0..<3).map { _ in reading(wall, pace) })
  }

  private static func reading(_ wall: any WallClock, _ pace: (any MonotonicClock)?) -> LogClock.Reading {
    // The monotonic clock first: a pause between the two readings then makes the wall clock look later, not earlier.
    let monotonic = pace?.now() ?? 0
    return LogClock.Reading(wall: wall.now().nanoseconds, monotonic: monotonic)
  }
}
