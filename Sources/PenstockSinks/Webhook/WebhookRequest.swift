import PenstockDelivery
import PenstockLog

/// The id, body and headers of a webhook.
struct WebhookMessage {
  var id: String
  var body: [UInt8]
  /// The headers of this message only.
  var headers: [(name: String, value: String)]

  init(_ delivery: DeliveryRequest) {
    let intent = delivery.intent
    id = intent.id.rawValue
    body = delivery.body.bytes
    headers = [
      (name: "X-Penstock-Range", value: "\(intent.first)-\(intent.end.rawValue - 1)"),
      (name: "X-Penstock-Log", value: delivery.logID),
    ]
  }

  init(id: String, body: [UInt8], headers: [(name: String, value: String)]) {
    self.id = id
    self.body = body
    self.headers = headers
  }
}

/// Builds the request of one attempt. Two attempts of one delivery differ only in the timestamp and the signature.
struct WebhookRequest {
  var url: DestinationURL
  var headers: [WebhookConfiguration.Header]
  var signature: WebhookSignature?
  var timeout: Duration

  func build(_ message: WebhookMessage, plan: WebhookPlan, now: Timestamp) -> TransportRequest {
    let isGet = plan.method == .get
    var request = TransportRequest(
      method: plan.method.rawValue,
      url: url.string(adding: isGet ? Self.query(plan.parameter, message.body) : nil),
      headers: fields(message, plan, now: now),
      body: isGet ? [] : message.body,
      timeout: timeout)
    request.successBodyTime = Self.successBodyTime
    return request
  }

  /// A 2xx status is enough. The body is read only to reuse the connection, and not for longer than a new one takes.
  static let successBodyTime = Duration.seconds(1)

  /// `parameter=value`, percent-encoded.
  private static func query(_ parameter: String, _ value: [UInt8]) -> String {
    "\(PercentEncoding.encode(parameter.utf8))=\(PercentEncoding.encode(value))"
  }

  /// The length of `query`.
  static func queryLength(_ parameter: String, _ value: [UInt8]) -> Int {
    PercentEncoding.encodedLength(parameter.utf8) + 1 + PercentEncoding.encodedLength(value)
  }

  private func fields(
    _ message: WebhookMessage, _ plan: WebhookPlan, now: Timestamp
  ) -> [(name: String, value: String)] {
    var fields = [(name: "User-Agent", value: "penstock")]
    // Two equal events give the same URL; a cached response would lose the second.
    fields.append(
      plan.method == .get
        ? (name: "Cache-Control", value: "no-store") : (name: "Content-Type", value: "application/json"))
    fields.append((name: "Idempotency-Key", value: message.id))
    fields += message.headers
    if let replay = plan.replay { fields.append((name: "webhook-replay", value: replay)) }
    let timestamp = now.nanoseconds / 1_000_000_000
    fields.append((name: "webhook-id", value: message.id))
    fields.append((name: "webhook-timestamp", value: String(timestamp)))
    if let signature {
      let value = signature.header(id: message.id, timestamp: timestamp, body: message.body)
      fields.append((name: "webhook-signature", value: value))
    }
    for header in headers { fields.append((name: header.name, value: header.value.revealed)) }
    return fields
  }
}
