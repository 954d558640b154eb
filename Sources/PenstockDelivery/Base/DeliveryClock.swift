/// A point on a clock that never jumps; unrelated to the time of day. Valid only within one process.
public struct MonotonicInstant: Hashable, Comparable, Sendable {
  /// Time since the clock's own, arbitrary start.
  public var sinceStart: Duration
  /// The instant that long after the clock's start.
  public init(sinceStart: Duration) { self.sinceStart = sinceStart }
  public static func < (a: MonotonicInstant, b: MonotonicInstant) -> Bool { a.sinceStart < b.sinceStart }
  /// The instant `duration` later.
  public static func + (moment: MonotonicInstant, duration: Duration) -> MonotonicInstant {
    MonotonicInstant(sinceStart: moment.sinceStart + duration)
  }
  /// The time from `b` to `a`; negative when `a` is earlier.
  public static func - (a: MonotonicInstant, b: MonotonicInstant) -> Duration { a.sinceStart - b.sinceStart }
}

/// Measures time and waits for a delivery. A test injects its own, to control time.
public protocol DeliveryClock: Sendable {
  /// The current instant. Never decreases.
  func now() -> MonotonicInstant

  /// Suspends the task until `moment` or later; returns at once when it has passed. Throws soon after the task is
  /// cancelled.
  func sleep(until moment: MonotonicInstant) async throws(CancellationError)
}

/// The machine's monotonic clock, which keeps running while the machine sleeps.
public struct SystemDeliveryClock: DeliveryClock {
  private let start = ContinuousClock.now
  /// A clock that starts at zero now.
  public init() {}
  public func now() -> MonotonicInstant { MonotonicInstant(sinceStart: ContinuousClock.now - start) }
  public func sleep(until moment: MonotonicInstant) async throws(CancellationError) {
    do {
      try await Task.sleep(until: start + moment.sinceStart, clock: .continuous)
    } catch {
      throw CancellationError()
    }
  }
}
