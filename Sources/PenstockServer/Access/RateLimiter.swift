package import PenstockLog
import Synchronization

/// A bucket that fills with time: what one key may still ask. A pure value.
package struct RateBucket: Sendable, Hashable {
  private var level: Double
  /// Nanoseconds by a clock that never jumps.
  private var at: Int64

  package init(_ limit: APIKey.RateLimit, at now: Int64) {
    level = limit.burst
    at = now
  }

  /// Takes one request; otherwise says after how many nanoseconds there will be room for it.
  package mutating func take(_ limit: APIKey.RateLimit, at now: Int64) -> Int64? {
    level = min(limit.burst, level + Double(max(0, now - at)) / 1e9 * limit.requestsPerSecond)
    at = now
    guard level < 1 else {
      level -= 1
      return nil
    }
    // A file of keys may say anything.
    let wait = (1 - level) / max(limit.requestsPerSecond, 0.001) * 1e9
    return wait < 1e15 ? Int64(wait.rounded(.up)) : 1_000_000_000_000_000
  }
}

/// The buckets of all keys that have a limit; one for each, so bounded by the keys.
package final class RateGate: Sendable {
  private let buckets = Mutex<[String: RateBucket]>([:])
  private let clock: any MonotonicClock

  package init(clock: any MonotonicClock = SystemMonotonicClock()) { self.clock = clock }

  /// Nil when the key may ask now; else after how many seconds it may.
  package func wait(_ key: APIKey) -> Int? {
    guard let limit = key.limit else { return nil }
    let now = clock.now()
    return buckets.withLock { buckets in
      var bucket = buckets[key.id] ?? RateBucket(limit, at: now)
      defer { buckets[key.id] = bucket }
      return bucket.take(limit, at: now).map { Int(max(1, ($0 + 999_999_999) / 1_000_000_000)) }
    }
  }
}
