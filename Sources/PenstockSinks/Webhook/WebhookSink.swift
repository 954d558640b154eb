public import PenstockDelivery
public import PenstockLog

/// Delivers batches to a URL as JSON, by POST, PUT or GET.
///
/// A delivery arrives at least once, each time with the same `webhook-id` and the same bytes. A receiver that stores
/// the ids, or the last offset of `X-Penstock-Range`, processes it exactly once. `webhook-id` and `Idempotency-Key` are
/// the delivery's id. `X-Penstock-Range` has the first and the last offset, and `X-Penstock-Log` the id of their log.
public struct WebhookSink: Sink {
  /// The settings that the sink was made with.
  public let configuration: WebhookConfiguration
  let request: WebhookRequest
  let transport: any HTTPTransport
  private let ownsTransport: Bool
  let clock: any WallClock
  /// The secrets to remove from response excerpts.
  let secrets: [Secret]

  /// - Parameters:
  ///   - configuration: Address, headers, signing and sizes.
  ///   - transport: The transport. Nil: the sink creates one, and ``close()`` closes it. A given transport ignores the
  ///     connection settings of the configuration, such as ``WebhookConfiguration/tls`` and
  ///     ``WebhookConfiguration/addresses``.
  ///   - clock: The clock for `webhook-timestamp` and for dates in `Retry-After`.
  /// - Throws: `SinkError` for an invalid configuration.
  public init(
    _ configuration: WebhookConfiguration, transport: (any HTTPTransport)? = nil,
    clock: any WallClock = SystemWallClock()
  ) throws(SinkError) {
    try configuration.validate()
    let url = try DestinationURL(configuration.url)
    try configuration.validateQuery(url)
    self.configuration = configuration
    request = WebhookRequest(
      url: url, headers: configuration.headers,
      signature: configuration.secrets.isEmpty ? nil : try WebhookSignature(secrets: configuration.secrets),
      timeout: configuration.timeout)
    if let transport {
      self.transport = transport
    } else {
      try configuration.validateAddress(url)
      self.transport = try AsyncHTTPTransport(configuration.transportSettings)
    }
    ownsTransport = transport == nil
    self.clock = clock
    secrets = configuration.everySecret(in: url)
  }

  /// A signed webhook with default settings.
  public init(url: String, signing secret: Secret) throws(SinkError) {
    var configuration = WebhookConfiguration(url: url)
    configuration.secrets = [secret]
    try self.init(configuration)
  }

  public var description: String { "webhook \(request.url.redacted)" }

  public var appliesEventWindows: Bool { true }

  /// The policy of the configuration. With ``WebhookConfiguration/Batching/single`` and
  /// ``WebhookConfiguration/Method/get`` a request has one event, and the delivery waits for no others.
  public var batchPolicy: BatchPolicy {
    BatchPolicy(
      maxRecords: configuration.maxRecords, maxBytes: configuration.maxBytes, maxWait: configuration.maxWait)
  }

  /// True with ``WebhookConfiguration/Batching/single`` and ``WebhookConfiguration/Method/get``.
  public var sendsSingleEvents: Bool { configuration.sendsSingleEvents }

  /// True: neither plan nor rendering depends on what was delivered.
  public var plansAhead: Bool { true }

  public var batchLimits: BatchLimits { BatchLimits(maxRecords: configuration.sendsSingleEvents ? 1 : nil) }

  public var selection: EventSelection { WebhookPlan(configuration).selection }

  public func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try WebhookPlan(parsing: plan).selection }

  public func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    try WebhookPlan(configuration, events: outline.events).encoded()
  }

  public func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    let plan = try WebhookPlan(parsing: plan)
    let body = try PreparedBody(rendering: batch, as: plan.form, plan.selection, digest: plan.digest)
    if plan.method == .get, body.eventCount > 0 {
      let length = WebhookRequest.queryLength(plan.parameter, body.bytes)
      guard length <= plan.maxParameterBytes else {
        throw SinkError(
          "the event has \(length) bytes as a query parameter; the limit is \(plan.maxParameterBytes)",
          offset: batch.offset(at: 0))
      }
    }
    return body
  }

  public func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    if delivery.body.eventCount == 0 { return .nothingToSend }
    let attempt: TransportRequest
    do throws(SinkError) {
      let plan = try WebhookPlan(parsing: delivery.intent.plan)
      attempt = request.build(WebhookMessage(delivery), plan: plan, now: clock.now())
    } catch {
      return .refused(reason: error.description)
    }
    do throws(TransportError) {
      return outcome(of: try await transport.send(attempt))
    } catch {
      return OutcomeClassifier.classify(error)
    }
  }

  func outcome(of response: TransportResponse) -> DeliveryOutcome {
    OutcomeClassifier.classify(
      status: response.status, retryAfter: response.header("Retry-After"),
      detail: (200..<300).contains(response.status)
        ? "" : OutcomeClassifier.excerpt(response.body, secrets: secrets),
      now: clock.now())
  }

  public func close() async {
    if ownsTransport { await transport.close() }
  }
}

extension WebhookConfiguration {
  /// All secrets, in every form that a receiver could echo.
  fileprivate func everySecret(in url: DestinationURL) -> [Secret] {
    var found = headers.map(\.value.revealed) + secrets.map(\.revealed)
    found += found.compactMap { text in
      ["Bearer ", "Basic ", "whsec_"].first { text.hasPrefix($0) }.map { String(text.dropFirst($0.count)) }
    }
    // The query may contain a key. A value of less than 8 bytes is no key, and would match in any text.
    for (_, value) in url.parameters where value.utf8.count >= 8 {
      found += [value, PercentEncoding.decode(value) ?? value]
    }
    // The longest first, so that no part of a secret remains.
    return found.filter { !$0.isEmpty }.sorted { $0.utf8.count > $1.utf8.count }.map { Secret($0) }
  }
}
