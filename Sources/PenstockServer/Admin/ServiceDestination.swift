public import PenstockDelivery
public import PenstockLog

/// A destination of a service: how the service creates its deliveries and the sinks of its replays.
public struct ServiceDestination: Sendable {
  /// The name of its cursor, which is also its name in the API.
  public let name: String
  /// `webhook`, `s3`, `directory`.
  public let kind: String
  public let thresholds: LagThresholds
  /// The directory of its dead-letter log; nil: it stores no dead letters.
  public let deadLetters: String?
  /// Its configuration, shown to operators.
  public let settings: [ServiceSetting]
  let batch: BatchPolicy?
  let retry: RetryPolicy
  let options: DeliveryOptions
  let makeDelivery: @Sendable (Cursor, Log) async throws -> Delivery
  let makeReplaySink: @Sendable (_ id: String) throws -> any Sink

  /// - Parameters:
  ///   - name: The cursor's name.
  ///   - kind: `webhook`, `s3`, `directory`.
  ///   - thresholds: The lag at which its health is `behind`, or records are about to be lost.
  ///   - deadLetters: The directory of its dead-letter log; nil: it stores no dead letters.
  ///   - settings: Its configuration, shown to operators.
  ///   - batch: When a batch of a replay or a redelivery is complete; nil: as the sink recommends.
  ///   - retry: The backoff of replays and redeliveries.
  ///   - options: The batches in flight and the rates of replays and redeliveries.
  ///   - makeDelivery: Called at the start and after each seek, with an open cursor.
  ///   - makeReplaySink: Creates a sink that marks what it sends with the replay's id, or with `RedeliveryScope.mark`.
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

  /// The descriptors it may have open at once.
  var openFiles: OpenFileNeed.Destination {
    OpenFileNeed.Destination(maxInFlight: options.maxInFlight, hasDeadLetters: deadLetters != nil)
  }
}
