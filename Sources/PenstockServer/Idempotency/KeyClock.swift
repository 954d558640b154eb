import PenstockLog
import Synchronization

/// The time by which idempotency keys are forgotten. One wrong reading of the machine's clock does not move it; see
/// ``LogClock``. A clock that a caller gives is believed as it is.
final class KeyClock: Sendable {
  private let wall: any WallClock
  private let pace: (any MonotonicClock)?
  private let clock: Mutex<LogClock>

  /// - Parameter pace: what the wall clock is compared with; nil: the machine's, for the machine's own wall clock.
  init(_ wall: any WallClock, pace: (any MonotonicClock)?) {
    let pace = pace ?? (wall is SystemWallClock ? SystemMonotonicClock() : nil)
    (self.wall, self.pace) = (wall, pace)
    clock = Mutex(Self.started(wall, pace, newest: nil))
  }

  /// Begins a start: until a minute has proved the clock, it counts for at most one day after the newest key.
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
    // The monotonic clock first: a pause between the two then makes the wall clock look later, not earlier.
    let monotonic = pace?.now() ?? 0
    return LogClock.Reading(wall: wall.now().nanoseconds, monotonic: monotonic)
  }
}
