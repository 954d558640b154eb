/// How fast a destination may be sent to. Nil is unlimited. Retries count, and what a filter leaves out does not.
public struct DeliveryRate: Sendable, Hashable {
  /// Records that are sent in a second.
  public var recordsPerSecond: Double?
  /// Bytes of bodies in a second, before compression.
  public var bytesPerSecond: Double?
  /// Attempts in a second.
  public var requestsPerSecond: Double?

  public static let unlimited = DeliveryRate()

  public init(recordsPerSecond: Double? = nil, bytesPerSecond: Double? = nil, requestsPerSecond: Double? = nil) {
    self.recordsPerSecond = recordsPerSecond
    self.bytesPerSecond = bytesPerSecond
    self.requestsPerSecond = requestsPerSecond
  }

  /// How long a load takes at this rate, in seconds; nil without a limit.
  public func seconds(records: Int, bytes: Int, requests: Int = 0) -> Double? {
    let costs = [(records, recordsPerSecond), (bytes, bytesPerSecond), (requests, requestsPerSecond)]
    return costs.compactMap { amount, rate in rate.map { Double(amount) / max($0, .leastNonzeroMagnitude) } }.max()
  }
}

/// What an attempt costs of a ``DeliveryRate``, and when the next one may be made. Pure.
///
/// An attempt is paid for after it is made: one that is larger than a second's worth passes, and those behind it wait.
/// Nothing is saved up while idle, so there are no bursts.
package struct RateBudget: Hashable, Sendable {
  package let limit: DeliveryRate
  /// The earliest moment of the next attempt; nil: now.
  package private(set) var earliest: MonotonicInstant?

  package init(_ limit: DeliveryRate) { self.limit = limit }

  package mutating func charge(records: Int, bytes: Int, at now: MonotonicInstant) {
    let seconds = limit.seconds(records: records, bytes: bytes, requests: 1) ?? 0
    guard seconds > 0 else { return }
    earliest = max(earliest ?? now, now) + .seconds(min(seconds, 86_400))
  }
}
