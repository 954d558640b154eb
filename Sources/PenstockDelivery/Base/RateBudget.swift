/// The most a delivery sends to its destination per second. Nil is unlimited. Retries count; filtered records do not.
public struct DeliveryRate: Sendable, Hashable {
  /// Records sent per second.
  public var recordsPerSecond: Double?
  /// Body bytes per second, before compression.
  public var bytesPerSecond: Double?
  /// Attempts per second.
  public var requestsPerSecond: Double?

  /// No limit.
  public static let unlimited = DeliveryRate()

  /// The given limits; nil is no limit.
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

/// What an attempt costs of a ``DeliveryRate``, and when the next one may begin. Pure.
///
/// An attempt is charged after it begins: one larger than a second's worth passes, and later ones wait. An idle
/// delivery saves nothing up, so there are no bursts.
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
