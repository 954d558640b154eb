import Synchronization

/// Bytes that all requests together may hold.
package final class MemoryBudget: Sendable {
  private struct State {
    var limit: Int
    var used = 0
  }
  private let state: Mutex<State>

  package init(limit: Int) { state = Mutex(State(limit: limit)) }

  package var used: Int { state.withLock { $0.used } }

  /// Applies to what is asked from now on.
  package func set(limit: Int) { state.withLock { $0.limit = limit } }

  /// Takes `bytes`; false when there are not as many.
  package func take(_ bytes: Int) -> Bool {
    state.withLock { state in
      guard state.used + bytes <= state.limit else { return false }
      state.used += bytes
      return true
    }
  }

  package func giveBack(_ bytes: Int) { state.withLock { $0.used -= bytes } }
}

/// What one request holds of a budget; given back when it is let go of.
package final class MemoryShare {
  private let budget: MemoryBudget
  private var bytes = 0

  package init(_ budget: MemoryBudget) { self.budget = budget }
  deinit { giveBack() }

  /// Gives all of it back; once more changes nothing.
  package func giveBack() {
    if bytes > 0 { budget.giveBack(bytes) }
    bytes = 0
  }

  /// Makes it at least `wanted` bytes; false when the budget has no room for that.
  package func grow(to wanted: Int) -> Bool {
    guard wanted > bytes else { return true }
    // In steps, so that a body of many small pieces does not ask for each.
    let more = max(wanted - bytes, 32 << 10)
    guard budget.take(more) else { return false }
    bytes += more
    return true
  }
}
