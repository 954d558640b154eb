/// How fast something may go at most.
public struct PaceLimits: Sendable, Hashable {
  /// Nil for no limit; at least 1.
  public var recordsPerSecond: Int?
  /// Bytes as they are sent. Nil for no limit; at least 1.
  public var bytesPerSecond: Int?
  /// What was not used within this time may be caught up at once.
  public var burst: Duration

  public init(recordsPerSecond: Int? = nil, bytesPerSecond: Int? = nil, burst: Duration = .seconds(1)) {
    self.recordsPerSecond = recordsPerSecond.map { max(1, $0) }
    self.bytesPerSecond = bytesPerSecond.map { max(1, $0) }
    self.burst = max(.zero, burst)
  }

  public static let unlimited = PaceLimits()
  public var isUnlimited: Bool { recordsPerSecond == nil && bytesPerSecond == nil }

  /// How long a load takes at this pace, in seconds; nil without a limit.
  public func seconds(records: Int, bytes: Int) -> Double? {
    let times = [(records, recordsPerSecond), (bytes, bytesPerSecond)].compactMap { amount, rate in
      rate.map { Double(amount) / Double($0) }
    }
    return times.max()
  }
}

/// A token bucket for records and one for bytes. Pure: the time comes in.
///
/// Over any time t, what is taken is at most rate · (t + burst), or one load more where loads are larger than the bucket:
/// such a load goes when the bucket is full, and is paid off after. Counted in whole numbers of 1/rate nanoseconds, so
/// nothing is rounded away, however long it runs.
package struct Pace: Hashable, Sendable {
  private struct Bucket: Hashable {
    let rate: Int128
    /// What the bucket holds, in tokens · 10⁹.
    let capacity: Int128
    /// What was taken and has not flowed back, in tokens · 10⁹, at `asOf`.
    var owed: Int128 = 0
    /// Nanoseconds.
    var asOf: Int128

    init(rate: Int, burst: Duration, now: Moment) {
      self.rate = Int128(rate)
      capacity = max(0, Int128(rate) * burst.nanoseconds)
      asOf = now.sinceStart.nanoseconds
    }

    /// Below nothing by less than a nanosecond's worth: what was waited too long because waits are whole nanoseconds.
    func owed(at now: Int128) -> Int128 { max(1 - rate, owed - max(0, now - asOf) * rate) }

    /// Nanoseconds from `now` on until `amount` may be taken; rounded up.
    func wait(for amount: Int, at now: Int128) -> Int128 {
      let load = Int128(amount) * 1_000_000_000
      let excess = owed(at: now) + load - max(capacity, load)
      return excess <= 0 ? 0 : (excess + rate - 1) / rate
    }

    mutating func take(_ amount: Int, at now: Int128) {
      owed = owed(at: now) + Int128(amount) * 1_000_000_000
      asOf = max(asOf, now)
    }
  }

  private var records: Bucket?
  private var bytes: Bucket?

  /// Begins with full buckets.
  package init(_ limits: PaceLimits, now: Moment) {
    records = limits.recordsPerSecond.map { Bucket(rate: $0, burst: limits.burst, now: now) }
    bytes = limits.bytesPerSecond.map { Bucket(rate: $0, burst: limits.burst, now: now) }
  }

  /// When a load may go: `now` or later.
  package func ready(records count: Int, bytes size: Int, now: Moment) -> Moment {
    let time = now.sinceStart.nanoseconds
    let wait = max(records?.wait(for: count, at: time) ?? 0, bytes?.wait(for: size, at: time) ?? 0)
    // Whole nanoseconds were counted from, so the fraction of one is kept.
    return wait == 0 ? now : now + .nanoseconds(Int64(clamping: wait))
  }

  /// Takes a load, whether or not it was ready.
  package mutating func take(records count: Int, bytes size: Int, now: Moment) {
    let time = now.sinceStart.nanoseconds
    records?.take(count, at: time)
    bytes?.take(size, at: time)
  }
}

extension Duration {
  /// Rounded down.
  fileprivate var nanoseconds: Int128 {
    let (seconds, attoseconds) = components
    return Int128(seconds) * 1_000_000_000 + Int128(attoseconds / 1_000_000_000)
  }
}
