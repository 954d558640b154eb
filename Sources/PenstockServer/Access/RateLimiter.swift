package import PenstockLog
import Synchronization

/// A token bucket for the requests of one key. A pure value.
package struct RateBucket: Sendable, Hashable {
  private var level: Double
  /// Nanoseconds of a monotonic clock.
  private var at: Int64

  package init(_ limit: APIKey.RateLimit, at now: Int64) {
    level = limit.burst
    at = now
  }

  /// Takes one request. When the bucket is empty: the nanoseconds until it holds one.
  package mutating func take(_ limit: APIKey.RateLimit, at now: Int64) -> Int64? {
    level = min(limit.burst, level + Double(max(0, now - at)) / 1e9 * limit.requestsPerSecond)
    at = now
    guard level < 1 else {
      level -= 1
      return nil
    }
    // The file of keys may hold any number.
    let wait = (1 - level) / max(limit.requestsPerSecond, 0.001) * 1e9
    return wait < 1e15 ? Int64(wait.rounded(.up)) : 1_000_000_000_000_000
  }
}

/// The token buckets of all keys with a limit: at most one for each key.
package final class RateLimiter: Sendable {
  private let buckets = Mutex<[String: RateBucket]>([:])
  private let clock: any MonotonicClock

  package init(clock: any MonotonicClock = SystemMonotonicClock()) { self.clock = clock }

  /// Nil when the key may send a request now; otherwise the seconds until it may.
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
