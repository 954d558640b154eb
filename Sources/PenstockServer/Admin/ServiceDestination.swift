public import PenstockDelivery
public import PenstockLog

/// A destination of a service: how the service creates its deliveries and the sinks of its replays.
public struct ServiceDestination: Sendable {
  /// The name of its cursor, which is also its name in the API.
  public let name: String
  /// `webhook`, `s3`, `directory`.
  public let kind: String
  /// Its thresholds, dead letters and shown configuration.
  public let options: Options
  let makeDelivery: @Sendable (Cursor, Log, EventRouter) async throws -> Delivery
  let makeReplaySink: @Sendable (_ id: String) throws -> any Sink

  /// What the service knows of a destination besides its sinks.
  public struct Options: Sendable {
    /// The lag at which its health is `behind`, or records are about to be lost.
    public var thresholds: LagThresholds
    /// The directory of its dead-letter log; nil: it stores no dead letters.
    public var deadLetters: String?
    /// Its configuration, shown to operators.
    public var settings: [ServiceSetting] {
      get { makeSettings() }
      set { makeSettings = { newValue } }
    }
    private var makeSettings: @Sendable () -> [ServiceSetting]
    /// The batches, backoff and rates of replays and redeliveries, and how many batches a delivery has in flight.
    public var delivery: DeliveryOptions
    /// Where its cursor begins when there is none yet. Judged once, when the destination first runs.
    public var startAt: Position

    /// The standard thresholds and delivery, no dead letters, and the beginning of the log, unless the caller passes
    /// others.
    public init(
      thresholds: LagThresholds = LagThresholds(), deadLetters: String? = nil, settings: [ServiceSetting] = [],
      delivery: DeliveryOptions = DeliveryOptions(), startAt: Position = .beginning
    ) {
      self.thresholds = thresholds
      self.deadLetters = deadLetters
      makeSettings = { settings }
      self.delivery = delivery
      self.startAt = startAt
    }

    /// The same with settings that are made for each question, so that a destination does not keep them.
    package init(
      thresholds: LagThresholds, deadLetters: String?, delivery: DeliveryOptions, startAt: Position,
      settings: @escaping @Sendable () -> [ServiceSetting]
    ) {
      self.thresholds = thresholds
      self.deadLetters = deadLetters
      makeSettings = settings
      self.delivery = delivery
      self.startAt = startAt
    }
  }

  /// - Parameters:
  ///   - name: The cursor's name.
  ///   - kind: `webhook`, `s3`, `directory`.
  ///   - options: Its thresholds, dead letters and shown configuration, and how its replays and redeliveries deliver.
  ///   - makeDelivery: Called at the start and after each seek, with an open cursor, the log, and its router for the
  ///     delivery's environment.
  ///   - makeReplaySink: Creates a sink that marks what it sends with the replay's id, or with `RedeliveryScope.mark`.
  public init(
    name: String, kind: String, options: Options = Options(),
    makeDelivery: @escaping @Sendable (Cursor, Log, EventRouter) async throws -> Delivery,
    makeReplaySink: @escaping @Sendable (_ id: String) throws -> any Sink
  ) {
    self.name = name
    self.kind = kind
    self.options = options
    self.makeDelivery = makeDelivery
    self.makeReplaySink = makeReplaySink
  }

  /// The descriptors it may take from the stocks of the process.
  var openFiles: OpenFileNeed.Destination {
    OpenFileNeed.Destination(maxInFlight: options.delivery.maxInFlight, hasDeadLetters: options.deadLetters != nil)
  }
}
