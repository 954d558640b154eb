public import PenstockLog
import Synchronization

/// A wall clock that stands still until a test moves it, forwards or backwards.
public final class ManualClock: WallClock {
  private let time: Mutex<Int64>

  /// Starts at 2026-01-01T00:00:00Z by default.
  public init(_ start: Timestamp = Timestamp(nanoseconds: 1_767_225_600_000_000_000)) {
    time = Mutex(start.nanoseconds)
  }

  public func now() -> Timestamp { Timestamp(nanoseconds: time.withLock { $0 }) }

  /// Sets the time of day, as an administrator or a time server may.
  public func set(_ time: Timestamp) { self.time.withLock { $0 = time.nanoseconds } }

  /// Moves the time by `nanoseconds`, which may be negative. Traps when the result leaves the range of a timestamp.
  public func advance(nanoseconds: Int64) { time.withLock { $0 += nanoseconds } }

  /// Moves the time by a number of seconds, which may be negative.
  public func advance(seconds: Int64) { advance(nanoseconds: seconds * 1_000_000_000) }
}
