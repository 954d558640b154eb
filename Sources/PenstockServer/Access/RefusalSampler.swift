/// Decides which refusals get their own entry in the audit log. A pure value; the caller passes the time.
///
/// A key may be refused any number of times, and in a log of bounded size every entry displaces an old one. So each key
/// gets 10 entries at once, and then one every ten minutes. Refusals in between are counted, and the count becomes an
/// entry.
struct RefusalSampler: Sendable, Hashable {
  /// With entries of 4 KiB, one key needs more than a year to fill 256 MiB.
  static let limit = APIKey.RateLimit(requestsPerSecond: 1.0 / 600, burst: 10)

  /// The refusals of one key that have no entry of their own.
  struct Count: Sendable, Hashable {
    var key: APIKey
    var count: Int
  }
  private struct Row: Hashable {
    var key: APIKey
    var bucket: RateBucket
    var count = 0
  }
  /// By the key's id, so bounded by the number of keys.
  private var rows: [String: Row] = [:]

  /// Whether a refusal gets its own entry; otherwise it is counted.
  ///
  /// - Parameter now: Nanoseconds of a monotonic clock.
  mutating func note(_ key: APIKey, at now: Int64) -> Bool {
    var row = rows[key.id] ?? Row(key: key, bucket: RateBucket(Self.limit, at: now))
    row.key = key
    let isNoted = row.bucket.take(Self.limit, at: now) == nil
    if !isNoted { row.count += 1 }
    rows[key.id] = row
    return isNoted
  }

  /// Takes the counts of the keys that may have an entry again, ordered by id. Complexity: O(keys).
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
