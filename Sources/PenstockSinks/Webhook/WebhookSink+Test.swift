public import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSupport

/// The result of a test delivery.
public struct WebhookTestReport: Sendable, Hashable {
  /// The outcome, as for a real delivery.
  public var outcome: DeliveryOutcome
  /// The HTTP status; nil if there was no response.
  public var status: Int?
  /// The time from the lookup to the end of the response.
  public var latency: Duration
  /// The connection; nil if there was no response.
  public var connection: TransportConnection?
  /// The `webhook-id` that was sent.
  public var id: String
  /// The start of the response body as one line, without secrets.
  public var excerpt: String
}

extension WebhookSink {
  /// Sends one sample event and returns the result. The request is signed like every delivery, and has the header
  /// `webhook-test: true`. No cursor moves, and there is no `X-Penstock-Range`, because the event is not in the log.
  /// Sends one request, limited by ``WebhookConfiguration/timeout``.
  ///
  /// A receiver should verify the request like every other, and then discard the event.
  public func test() async -> WebhookTestReport {
    let now = clock.now()
    let id = "test_" + Digest.hex((0..<16).map { _ in UInt8.random(in: 0...255) })
    let plan = WebhookPlan(configuration)
    let message = WebhookMessage(
      id: id, body: Self.testBody(plan, seconds: now.nanoseconds / 1_000_000_000),
      headers: [(name: "webhook-test", value: "true")])
    let begin = ContinuousClock.now
    do throws(TransportError) {
      let response = try await transport.send(request.build(message, plan: plan, now: now))
      return WebhookTestReport(
        outcome: outcome(of: response), status: response.status, latency: ContinuousClock.now - begin,
        connection: response.connection, id: id,
        excerpt: OutcomeClassifier.excerpt(response.body, secrets: secrets))
    } catch {
      return WebhookTestReport(
        outcome: OutcomeClassifier.classify(error), status: nil, latency: ContinuousClock.now - begin, connection: nil,
        id: id, excerpt: "")
    }
  }

  private static func testBody(_ plan: WebhookPlan, seconds: Int64) -> [UInt8] {
    let event =
      #"{"app_id":"00000000-0000-0000-0000-000000000000","user_id":"","anonymous_user_id":"penstock-test","#
      + #""event":"penstock test","platform":"penstock","type":"custom","ts":\#(seconds),"properties":{},"traits":{}}"#
    return plan.form == .array
      ? render(event, ArrayRenderer(selection: plan.selection.fields))
      : render(event, SingleRenderer(selection: plan.selection.fields))
  }

  private static func render(_ event: String, _ renderer: some EventRenderer) -> [UInt8] {
    var renderer = renderer
    var bytes: [UInt8] = []
    renderer.begin(&bytes)
    Array(event.utf8).withUnsafeBytes { renderer.append($0, to: &bytes) }
    renderer.finish(&bytes)
    return bytes
  }
}
