import PenstockLog

/// How a delivery treats its destination: batches, retries, rejected records and rates.
public struct DeliveryOptions: Sendable, Hashable {
  /// When a batch is closed; nil for the sink's own ``Sink/batchPolicy``. The delivery lowers it to the sink's limits
  /// and logs that; see ``Delivery/policy``.
  public var policy: BatchPolicy?
  /// How long to wait after trouble.
  public var retry: RetryPolicy
  /// How many requests may be in flight at once. Each holds a batch: 1 … `CursorState.maxInFlight`. Where the sink
  /// sends event by event, each holds an event: 1 … `SettledEvents.maxEvents`. With more than one, a later request may
  /// arrive before an earlier one that failed. It is 1 for a sink with ``Sink/recordsEveryRange``.
  public var maxInFlight: Int {
    didSet { maxInFlight = Self.bounded(maxInFlight) }
  }
  /// What to do with a record that the destination rejects.
  public var rejection: RejectionPolicy
  /// When to send less to a destination that fails, and how to return to full speed.
  public var circuit: CircuitPolicy
  /// The most that is sent per second.
  public var rate: DeliveryRate

  /// The sink's own batches, one at a time, in strict order; as fast as the destination takes them.
  public init(
    policy: BatchPolicy? = nil, retry: RetryPolicy = RetryPolicy(), maxInFlight: Int = 1,
    rejection: RejectionPolicy = RejectionPolicy(), circuit: CircuitPolicy = CircuitPolicy(),
    rate: DeliveryRate = DeliveryRate()
  ) {
    self.policy = policy
    self.retry = retry
    self.maxInFlight = Self.bounded(maxInFlight)
    self.rejection = rejection
    self.circuit = circuit
    self.rate = rate
  }

  private static func bounded(_ count: Int) -> Int { min(max(1, count), SettledEvents.maxEvents) }
}
