#if Sinks
  import CoreMetrics
  import InMemoryTracing
  import MetricsTestKit
  import PenstockDelivery
  import PenstockLog
  import PenstockMetrics
  import Testing
  import Tracing

  /// What becomes of a delivery's notices.
  @Suite struct DeliveryObserverTests {
    private let intent = Intent(
      id: DeliveryID("one"), first: Offset(10), end: Offset(25), contentDigest: [UInt8](repeating: 1, count: 32),
      plan: [],
      createdAt: Timestamp(nanoseconds: 0))

    private var notices: [DeliveryObserverEvent] {
      [
        .opened(intent, closedBy: .reopened, eventCount: 15),
        .answered(intent, attempt: 1, .retry(reason: "busy", after: nil), duration: .milliseconds(3)),
        .answered(intent, attempt: 2, .delivered(receipt: "200"), duration: .milliseconds(2)),
        .committed(intent, receipt: "200"),
      ]
    }

    @Test func `batches, records, retries and attempts are counted exactly`() throws {
      let metrics = TestMetrics()
      let observer = DeliveryMetrics(destination: "d", factory: metrics)
      for notice in notices { observer.observe(notice) }
      let label = [("destination", "d")]
      #expect(try metrics.expectCounter("penstock_delivery_batches_total", label).totalValue == 1)
      #expect(try metrics.expectCounter("penstock_delivery_records_total", label).totalValue == 15)
      #expect(try metrics.expectCounter("penstock_delivery_retries_total", label).totalValue == 1)
      #expect(try metrics.expectCounter("penstock_delivery_halts_total", label).totalValue == 0)
      let timed = try metrics.expectTimer("penstock_delivery_attempt_duration_seconds", label + [("outcome", "retry")])
      #expect(timed.values == [3_000_000])
    }

    @Test func `each attempt is a span, and one that failed is marked`() {
      let tracer = InMemoryTracer()
      let observer = DeliveryTracing(destination: "d", tracer: tracer)
      for notice in notices { observer.observe(notice) }
      let spans = tracer.finishedSpans
      #expect(spans.map(\.operationName) == ["penstock.deliver", "penstock.deliver"])
      #expect(spans.map { $0.attributes.get("penstock.outcome") } == [.string("retry"), .string("delivered")])
      #expect(spans.map { $0.status?.code == .error } == [true, false])
      #expect(
        spans.map { $0.endInstant.nanosecondsSinceEpoch - $0.startInstant.nanosecondsSinceEpoch } == [
          3_000_000, 2_000_000,
        ])
    }
  }
#endif
