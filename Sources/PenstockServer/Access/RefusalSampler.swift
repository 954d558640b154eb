/// Which refusals have an entry of their own in the audit log. A pure value; time is handed in.
///
/// A key may be refused as often as it asks, and in a log of bounded size every entry pushes an old one out. So a key has a few entries at once and
/// then one every ten minutes; what came meanwhile is counted, and the count is an entry.
struct RefusalSampler: Sendable, Hashable {
  /// With entries of 4 KiB one key fills 256 MiB in more than a year.
  static let limit = APIKey.RateLimit(requestsPerSecond: 1.0 / 600, burst: 10)

  /// Refusals of a key without an entry of their own.
  struct Count: Sendable, Hashable {
    var key: APIKey
    var count: Int
  }
  private struct Row: Hashable {
    var key: APIKey
    var bucket: RateBucket
    var count = 0
  }
  /// By the key's id, so bounded by the keys.
  private var rows: [String: Row] = [:]

  /// Whether a refusal has an entry of its own; it is counted where it has none.
  ///
  /// - Parameter now: Nanoseconds by a clock that never jumps.
  mutating func note(_ key: APIKey, at now: Int64) -> Bool {
    var row = rows[key.id] ?? Row(key: key, bucket: RateBucket(Self.limit, at: now))
    row.key = key
    let isNoted = row.bucket.take(Self.limit, at: now) == nil
    if !isNoted { row.count += 1 }
    rows[key.id] = row
    return isNoted
  }

  /// Takes the counts of keys that may have an entry again, in the order of their ids. O(keys).
  mutating func takeDue(at now: Int64) -> [Count] {
    take { row in row.bucket.take(Self.limit, at: now) == nil }
  }

  /// Takes every count.
  mutating func takeAll() -> [Count] { take { _ in true } }

  private mutating func take(_ isDue: (inout Row) -> Bool) -> [Count] {
    var taken: [Count] = []
    for id in rows.keys.sorted() {
      guard var row = rows[id], row.count > 0, isDue(&row) else { continue }
      taken.append(Count(key: row.key, count: row.count))
      row.count = 0
      rows[id] = row
    }
    return taken
  }
}
