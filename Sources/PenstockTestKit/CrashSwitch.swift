import PenstockDelivery
package import PenstockLog

/// Kills a simulated process at one of its steps: from then on nothing it does has an effect.
///
/// Every simulated part calls `step(_:)` before and after what it does for the process. A test runs once to
/// count the steps and then once for each of them.
public final class CrashSwitch: Sendable {
  private struct State: Sendable {
    var steps: [String] = []
    var isDead = false
  }

  private let state = AsyncCondition(State())
  private let fatalStep: Int?

  /// - Parameter step: 1 for the first; nil to only count.
  public init(at step: Int? = nil) { fatalStep = step }

  /// The steps taken so far, by name, the fatal one included.
  public var steps: [String] { state.value.steps }
  /// Whether the process is dead.
  public var isDead: Bool { state.value.isDead }

  /// Counts a step; false when the process is dead, by this step or before.
  package func step(_ name: String) -> Bool {
    state.update { state in
      if state.isDead { return false }
      state.steps.append(name)
      state.isDead = state.steps.count == fatalStep
      return !state.isDead
    }
  }

  /// Returns true when the process has died, false when the task is cancelled first.
  public func untilDead() async -> Bool { await state.wait { $0.isDead } }
}

extension CrashSwitch? {
  /// Takes a step. A call of a dead process does not return until its task is cancelled; then this is false.
  package func survives(_ step: String) async -> Bool {
    guard let self, !self.step(step) else { return true }
    await hangUntilCancelled()
    return false
  }

  /// The same for calls that throw.
  package func live(_ step: String) async throws(LogError) {
    if await !survives(step) { throw LogError(.cancelled, "the simulated process is dead") }
  }
}

/// Returns when the task is cancelled.
package func hangUntilCancelled() async { _ = await AsyncCondition(false).wait { $0 } }
