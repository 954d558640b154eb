/// How fast a destination may be sent to. Nil is unlimited.
public struct DeliveryRate: Sendable, Hashable {
  /// Records, of the log, in a second.
  public var recordsPerSecond: Double?
  /// Record bytes, as in the log, in a second.
  public var bytesPerSecond: Double?
  /// Attempts in a second.
  public var requestsPerSecond: Double?

  public init(recordsPerSecond: Double? = nil, bytesPerSecond: Double? = nil, requestsPerSecond: Double? = nil) {
    self.recordsPerSecond = recordsPerSecond
    self.bytesPerSecond = bytesPerSecond
    self.requestsPerSecond = requestsPerSecond
  }
}

/// What an attempt costs of a ``DeliveryRate``, and when the next one may be made. Pure.
///
/// An attempt is paid for after it is made: one that is larger than a second's worth passes, and those behind it wait.
/// Nothing is saved up while idle, so there are no bursts.
package struct RateBudget: Hashable, Sendable {
  package let limit: DeliveryRate
  /// The earliest moment of the next attempt; nil: now.
  package private(set) var earliest: Moment?

  package init(_ limit: DeliveryRate) { self.limit = limit }

  package mutating func charge(records: Int, bytes: Int, at now: Moment) {
    let costs = [
      (Double(records), limit.recordsPerSecond), (Double(bytes), limit.bytesPerSecond), (1, limit.requestsPerSecond),
    ]
    let seconds = costs.map { cost, rate in rate.map { $0 > 0 ? min(cost / $0, 86_400) : 86_400 } ?? 0 }.max() ?? 0
    guard seconds > 0 else { return }
    earliest = max(earliest ?? now, now) + .seconds(seconds)
  }
}
