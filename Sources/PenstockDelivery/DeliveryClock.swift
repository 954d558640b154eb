/// A point on a clock that never jumps; says nothing about the time of day. Lost when the process ends.
public struct Moment: Hashable, Comparable, Sendable {
  /// Time since the clock's own, arbitrary beginning.
  public var sinceStart: Duration
  public init(sinceStart: Duration) { self.sinceStart = sinceStart }
  public static func < (a: Moment, b: Moment) -> Bool { a.sinceStart < b.sinceStart }
  public static func + (moment: Moment, duration: Duration) -> Moment {
    Moment(sinceStart: moment.sinceStart + duration)
  }
  public static func - (a: Moment, b: Moment) -> Duration { a.sinceStart - b.sinceStart }
}

/// Measures and waits for a delivery. Injected, so that a test decides how time goes by.
public protocol DeliveryClock: Sendable {
  /// The present moment. Never falls.
  func now() -> Moment

  /// Returns at `moment` or later, at once when it has passed. Throws soon after the task is cancelled.
  func sleep(until moment: Moment) async throws(CancellationError)
}

/// The machine's monotonic clock, which goes on while the machine sleeps.
public struct SystemDeliveryClock: DeliveryClock {
  private let start = ContinuousClock.now
  public init() {}
  public func now() -> Moment { Moment(sinceStart: ContinuousClock.now - start) }
  public func sleep(until moment: Moment) async throws(CancellationError) {
    do {
      try await Task.sleep(until: start + moment.sinceStart, clock: .continuous)
    } catch {
      throw CancellationError()
    }
  }
}
