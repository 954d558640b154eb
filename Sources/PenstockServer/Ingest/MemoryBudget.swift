import Synchronization

/// The bytes of memory that all requests together may hold.
package final class MemoryBudget: Sendable {
  private struct State {
    var limit: Int
    var used = 0
  }
  private let state: Mutex<State>

  package init(limit: Int) { state = Mutex(State(limit: limit)) }

  package var used: Int { state.withLock { $0.used } }

  /// Sets the limit for later calls of ``take(_:)``.
  package func set(limit: Int) { state.withLock { $0.limit = limit } }

  /// Reserves `bytes`; false when fewer are left.
  package func take(_ bytes: Int) -> Bool {
    state.withLock { state in
      guard state.used + bytes <= state.limit else { return false }
      state.used += bytes
      return true
    }
  }

  package func giveBack(_ bytes: Int) { state.withLock { $0.used -= bytes } }
}

/// The bytes that one request has reserved; released at the latest when it is deallocated.
package final class MemoryShare {
  private let budget: MemoryBudget
  private var bytes = 0

  package init(_ budget: MemoryBudget) { self.budget = budget }
  deinit { giveBack() }

  /// Releases all of them. Idempotent.
  package func giveBack() {
    if bytes > 0 { budget.giveBack(bytes) }
    bytes = 0
  }

  /// Reserves up to `wanted` bytes in total; false when fewer are left.
  package func grow(to wanted: Int) -> Bool {
    guard wanted > bytes else { return true }
    // In steps of 32 KiB, so that a body of many small pieces rarely takes the lock.
    let more = max(wanted - bytes, 32 << 10)
    guard budget.take(more) else { return false }
    bytes += more
    return true
  }
}
