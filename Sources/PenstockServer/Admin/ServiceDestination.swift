public import PenstockDelivery
public import PenstockLog

/// A destination of a service: how its delivery is made, each time it begins, and how a replay to it is.
public struct ServiceDestination: Sendable {
  /// The cursor's name, and how the API calls it.
  public let name: String
  /// `webhook`, `s3`, `directory`.
  public let kind: String
  public let thresholds: LagThresholds
  /// Where its dead letters are; nil: it has none.
  public let deadLetters: String?
  /// How it is configured, for people.
  public let settings: [ServiceSetting]
  let batch: BatchPolicy?
  let retry: RetryPolicy
  let options: DeliveryOptions
  let makeDelivery: @Sendable (Cursor, Log) async throws -> Delivery
  let makeReplaySink: @Sendable (_ id: String) throws -> any Sink

  /// - Parameters:
  ///   - name: The cursor's name.
  ///   - kind: `webhook`, `s3`, `directory`.
  ///   - thresholds: When it counts as behind, or about to lose.
  ///   - deadLetters: Where its dead letters are; nil: it has none.
  ///   - settings: How it is configured, for people.
  ///   - batch: When a batch of a replay, or of dead letters that are sent again, is closed; nil: as the sink says.
  ///   - retry: Their waits after trouble.
  ///   - options: Their batches in flight and rates.
  ///   - makeDelivery: Called whenever deliveries begin: at the start, and after a seek. The cursor is taken.
  ///   - makeReplaySink: A sink that marks what it sends with the replay's id, or with `RedeliveryScope.mark`.
  public init(
    name: String, kind: String, thresholds: LagThresholds = LagThresholds(), deadLetters: String? = nil,
    settings: [ServiceSetting] = [], batch: BatchPolicy? = nil, retry: RetryPolicy = RetryPolicy(),
    options: DeliveryOptions = DeliveryOptions(),
    makeDelivery: @escaping @Sendable (Cursor, Log) async throws -> Delivery,
    makeReplaySink: @escaping @Sendable (_ id: String) throws -> any Sink
  ) {
    self.name = name
    self.kind = kind
    self.thresholds = thresholds
    self.deadLetters = deadLetters
    self.settings = settings
    self.batch = batch
    self.retry = retry
    self.options = options
    self.makeDelivery = makeDelivery
    self.makeReplaySink = makeReplaySink
  }

  /// What it may have open at once.
  var openFiles: OpenFileNeed.Destination {
    OpenFileNeed.Destination(maxInFlight: options.maxInFlight, hasDeadLetters: deadLetters != nil)
  }
}
