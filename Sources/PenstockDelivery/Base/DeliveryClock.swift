/// A point on a clock that never jumps; says nothing about the time of day. Lost when the process ends.
public struct MonotonicInstant: Hashable, Comparable, Sendable {
  /// Time since the clock's own, arbitrary beginning.
  public var sinceStart: Duration
  public init(sinceStart: Duration) { self.sinceStart = sinceStart }
  public static func < (a: MonotonicInstant, b: MonotonicInstant) -> Bool { a.sinceStart < b.sinceStart }
  public static func + (moment: MonotonicInstant, duration: Duration) -> MonotonicInstant {
    MonotonicInstant(sinceStart: moment.sinceStart + duration)
  }
  public static func - (a: MonotonicInstant, b: MonotonicInstant) -> Duration { a.sinceStart - b.sinceStart }
}

/// Measures and waits for a delivery. Injected, so that a test decides how time goes by.
public protocol DeliveryClock: Sendable {
  /// The present moment. Never falls.
  func now() -> MonotonicInstant

  /// Returns at `moment` or later, at once when it has passed. Throws soon after the task is cancelled.
  func sleep(until moment: MonotonicInstant) async throws(CancellationError)
}

/// The machine's monotonic clock, which goes on while the machine sleeps.
public struct SystemDeliveryClock: DeliveryClock {
  private let start = ContinuousClock.now
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
