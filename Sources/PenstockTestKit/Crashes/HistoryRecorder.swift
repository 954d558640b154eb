import Synchronization

/// Keeps events in the order in which they happen, for code that cannot reach the checker.
package final class HistoryRecorder: Sendable {
  private let events = Mutex<[History.Event]>([])

  package init() {}

  package func note(_ event: History.Event) { events.withLock { $0.append(event) } }

  /// Returns what was kept and forgets it.
  package func drain() -> [History.Event] {
    events.withLock { events in
      defer { events = [] }
      return events
    }
  }
}
