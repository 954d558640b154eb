package import PenstockLog
import Synchronization

/// One open handle for each producer that clients name, opened at its first use. Above the capacity the least recently
/// used handle is closed. The log remembers more producers than that (``LogConfiguration/maxProducers``).
package final class ProducerHandles: Sendable {
  private struct Entry {
    var opening: Task<Result<Producer, LogError>, Never>
    var usedAt: UInt64
  }
  private struct State {
    var entries: [String: Entry] = [:]
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
      if let entry = state.entries[name] {
        state.entries[name]?.usedAt = state.turn
        return entry.opening
      }
      if state.entries.count >= capacity, let oldest = state.entries.min(by: { $0.value.usedAt < $1.value.usedAt }) {
        state.entries[oldest.key] = nil
      }
      let opening = Task { [log] () -> Result<Producer, LogError> in
        do throws(LogError) { return .success(try await log.producer(named: name)) } catch { return .failure(error) }
      }
      state.entries[name] = Entry(opening: opening, usedAt: state.turn)
      return opening
    }
    switch await opening.value {
    case .success(let producer): return producer
    case .failure(let error):
      state.withLock { $0.entries[name] = nil }
      throw error
    }
  }

  /// Closes the handle, because another holder fenced it; the next use opens a new one.
  package func forget(_ name: String) { state.withLock { $0.entries[name] = nil } }
}
