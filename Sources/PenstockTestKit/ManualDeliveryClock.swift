public import PenstockDelivery

/// A clock that stands still until a test moves it, and that tells the test who sleeps on it.
///
/// A test awaits ``sleeper()``, then ``advance(to:)``: no real time passes and nothing polls.
public final class ManualDeliveryClock: DeliveryClock {
  private struct State: Sendable {
    var now = MonotonicInstant(sinceStart: .zero)
    var sleepers: [UInt64: MonotonicInstant] = [:]
    var lastID: UInt64 = 0
  }

  private let state = AsyncCondition(State())
  /// Moves with the clock; a test may also make it jump.
  public let timeOfDay: ManualClock

  /// Makes a clock at zero, with a time of day that advances with it.
  public init(timeOfDay: ManualClock = ManualClock()) { self.timeOfDay = timeOfDay }

  public func now() -> MonotonicInstant { state.value.now }

  public func sleep(until moment: MonotonicInstant) async throws(CancellationError) {
    let id = state.update { state in
      state.lastID += 1
      state.sleepers[state.lastID] = moment
      return state.lastID
    }
    let isDue = await state.wait { $0.now >= moment }
    state.update { $0.sleepers[id] = nil }
    if !isDue { throw CancellationError() }
  }

  /// Moves the clock and wakes every sleeper that is due.
  public func advance(by duration: Duration) {
    let (seconds, attoseconds) = duration.components
    timeOfDay.advance(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    state.update { $0.now = $0.now + duration }
  }

  /// Advances to `moment`; never back.
  public func advance(to moment: MonotonicInstant) { advance(by: max(.zero, moment - now())) }

  /// The moments that are slept for and not reached yet, earliest first.
  public var sleepers: [MonotonicInstant] { Self.pending(state.value) }

  /// Returns the earliest moment that is slept for, as soon as there is one that is not reached yet; the present moment
  /// when the task is cancelled first.
  public func sleeper() async -> MonotonicInstant {
    _ = await state.wait { !Self.pending($0).isEmpty }
    return sleepers.first ?? now()
  }

  /// Returns when a task sleeps until exactly `moment`.
  public func untilSomebodySleeps(until moment: MonotonicInstant) async {
    _ = await state.wait { Self.pending($0).contains(moment) }
  }

  private static func pending(_ state: State) -> [MonotonicInstant] {
    state.sleepers.values.filter { $0 > state.now }.sorted()
  }
}
