import PenstockDelivery
import PenstockLog

/// Builds the request of one attempt. Two attempts at one delivery differ in nothing but the timestamp and what it signs.
struct WebhookRequest {
  var url: DestinationURL
  var headers: [WebhookConfiguration.Header]
  var signature: WebhookSignature?
  var timeout: Duration

  func build(_ delivery: PendingDelivery, plan: WebhookPlan, now: Timestamp) -> TransportRequest {
    let isGet = plan.method == .get
    return TransportRequest(
      method: plan.method.rawValue,
      url: url.string(adding: isGet ? Self.query(plan.parameter, delivery.body.bytes) : nil),
      headers: fields(delivery, plan, now: now),
      body: isGet ? [] : delivery.body.bytes,
      timeout: timeout)
  }

  /// `parameter=value`, percent-encoded.
  private static func query(_ parameter: String, _ value: [UInt8]) -> String {
    "\(PercentEncoding.encode(parameter.utf8))=\(PercentEncoding.encode(value))"
  }

  /// How long `query` is.
  static func queryLength(_ parameter: String, _ value: [UInt8]) -> Int {
    PercentEncoding.encodedLength(parameter.utf8) + 1 + PercentEncoding.encodedLength(value)
  }

  private func fields(
    _ delivery: PendingDelivery, _ plan: WebhookPlan, now: Timestamp
  ) -> [(name: String, value: String)] {
    let intent = delivery.intent
    let id = intent.id.rawValue
    var fields = [(name: "User-Agent", value: "penstock")]
    if plan.method != .get { fields.append((name: "Content-Type", value: "application/json")) }
    fields.append((name: "Idempotency-Key", value: id))
    fields.append((name: "X-Penstock-Range", value: "\(intent.first)-\(intent.end.rawValue - 1)"))
    fields.append((name: "X-Penstock-Log", value: delivery.logID))
    if let replay = plan.replay { fields.append((name: "webhook-replay", value: replay)) }
    let timestamp = now.nanoseconds / 1_000_000_000
    fields.append((name: "webhook-id", value: id))
    fields.append((name: "webhook-timestamp", value: String(timestamp)))
    if let signature {
      let value = signature.header(id: id, timestamp: timestamp, body: delivery.body.bytes)
      fields.append((name: "webhook-signature", value: value))
    }
    for header in headers { fields.append((name: header.name, value: header.value.revealed)) }
    return fields
  }
}
