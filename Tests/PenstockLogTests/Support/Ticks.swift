import PenstockDelivery

/// Time that passes when the test says so.
final class Ticks: Sendable {
  /// Who sleeps now, by number; 0: nobody. And how many have slept.
  private let state = AsyncCondition((sleeping: 0, slept: 0))

  /// What the log calls to wait.
  func next() async {
    let turn = state.update { state in
      state.sleeping = state.slept + 1
      return state.sleeping
    }
    _ = await state.wait { $0.slept >= turn }
  }

  /// Returns when somebody waits for time to pass.
  func arrival() async { _ = await state.wait { $0.sleeping > $0.slept } }

  func tick() { state.update { if $0.sleeping > $0.slept { $0.slept = $0.sleeping } } }
}
