import Synchronization

/// Keeps events in the order in which they happen, for code that cannot reach who checks them.
package final class EventRecorder<Event: Sendable>: Sendable {
  private let events = Mutex<[Event]>([])

  package init() {}

  package func note(_ event: Event) { events.withLock { $0.append(event) } }

  /// Returns what was kept and forgets it.
  package func drain() -> [Event] {
    events.withLock { events in
      defer { events = [] }
      return events
    }
  }
}

package typealias HistoryRecorder = EventRecorder<History.Event>
