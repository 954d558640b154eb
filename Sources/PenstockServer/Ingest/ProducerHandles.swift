package import PenstockLog
import Synchronization

/// The producers that clients name: one handle for each, opened when it is first named, the least recently used let go of when
/// there are too many. The log remembers more than are open (``LogConfiguration/maxProducers``).
package final class ProducerHandles: Sendable {
  private struct Held {
    var opening: Task<Result<Producer, LogError>, Never>
    var usedAt: UInt64
  }
  private struct State {
    var held: [String: Held] = [:]
    var turn: UInt64 = 0
  }
  private let log: Log
  private let capacity: Int
  private let state = Mutex(State())

  package init(_ log: Log, capacity: Int = 1024) {
    self.log = log
    self.capacity = capacity
  }

  package func producer(_ name: String) async throws(LogError) -> Producer {
    let opening = state.withLock { state in
      state.turn += 1
      if let held = state.held[name] {
        state.held[name]?.usedAt = state.turn
        return held.opening
      }
      if state.held.count >= capacity, let oldest = state.held.min(by: { $0.value.usedAt < $1.value.usedAt }) {
        state.held[oldest.key] = nil
      }
      let opening = Task { [log] () -> Result<Producer, LogError> in
        do throws(LogError) { return .success(try await log.producer(named: name)) } catch { return .failure(error) }
      }
      state.held[name] = Held(opening: opening, usedAt: state.turn)
      return opening
    }
    switch await opening.value {
    case .success(let producer): return producer
    case .failure(let error):
      state.withLock { $0.held[name] = nil }
      throw error
    }
  }

  /// Lets go of it, so that it is taken anew: another holder has taken it.
  package func forget(_ name: String) { state.withLock { $0.held[name] = nil } }
}
