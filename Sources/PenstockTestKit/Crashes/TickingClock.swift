package import PenstockDelivery
import Synchronization

/// A clock that advances by a tick with each reading, and on which no wait takes real time. A delivery that retries
/// again and again therefore reaches its limit. A stalled clock advances by waits alone.
package final class TickingClock: DeliveryClock {
  private let time = Mutex(MonotonicInstant(sinceStart: .zero))
  private let tick: Duration

  package init(isStalled: Bool = false) { tick = isStalled ? .zero : .milliseconds(20) }

  package func now() -> MonotonicInstant {
    time.withLock { [tick] time in
      time = time + tick
      return time
    }
  }

  package func sleep(until moment: MonotonicInstant) async throws(CancellationError) {
    if Task.isCancelled { throw CancellationError() }
    time.withLock { $0 = max($0, moment) }
  }
}
