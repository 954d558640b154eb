import PenstockLog

/// How a delivery treats its destination, apart from batches and retries.
public struct DeliveryOptions: Sendable, Hashable {
  /// How many batches may be in flight at once, 1 … `CursorState.maxInFlight`. With more than one, a later batch may
  /// arrive before an earlier one that failed. The cursor still commits everything up to an offset, or nothing.
  public var maxInFlight: Int {
    didSet { maxInFlight = Self.bounded(maxInFlight) }
  }
  public var rejection: RejectionPolicy
  public var circuit: CircuitPolicy
  public var rate: DeliveryRate

  /// One batch at a time, in strict order; as fast as the destination takes them.
  public init(
    maxInFlight: Int = 1, rejection: RejectionPolicy = RejectionPolicy(), circuit: CircuitPolicy = CircuitPolicy(),
    rate: DeliveryRate = DeliveryRate()
  ) {
    self.maxInFlight = Self.bounded(maxInFlight)
    self.rejection = rejection
    self.circuit = circuit
    self.rate = rate
  }

  private static func bounded(_ count: Int) -> Int { min(max(1, count), CursorState.maxInFlight) }
}
