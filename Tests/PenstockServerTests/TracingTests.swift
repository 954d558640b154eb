import HTTPTypes
import InMemoryTracing
import PenstockLog
import Testing
import Tracing

@testable import PenstockServer

@Suite("Spans of requests", .timeLimit(.minutes(1)))
struct TracingTests {
  static func attribute(_ span: FinishedInMemorySpan, _ name: String) -> String? {
    switch span.attributes.get(name) {
    case .string(let text): text
    case .int64(let number): "\(number)"
    case .int32(let number): "\(number)"
    default: nil
    }
  }

  @Test("each request is one span with its route, status and id, within the caller's trace")
  func spans() async throws {
    try await withTemporaryDirectory { directory in
      let tracer = InMemoryTracer()
      try await ServiceRig.run(in: directory, tracer: tracer) { rig in
        func span(_ answer: ServiceRig.Answer) async throws -> FinishedInMemorySpan {
          let field = try #require(HTTPField.Name("X-Request-Id"))
          let id = try #require(answer.headers[field])
          // It ends with the last byte of the answer, which a client may have before.
          while true {
            if let found = tracer.finishedSpans.first(where: { Self.attribute($0, "penstock.request.id") == id }) {
              return found
            }
            await Task.yield()
          }
        }
        let posted = try await span(
          try await rig.post("{}", [("in-memory-trace-id", "trace-7"), ("in-memory-span-id", "span-9")]))
        #expect(posted.operationName == "POST /v1/events" && posted.kind == .server)
        #expect(posted.traceID == "trace-7" && posted.parentSpanID == "span-9")
        #expect(Self.attribute(posted, "http.response.status_code") == "200" && posted.status == nil)
        let attempts = try await span(try await rig.send(.get, "/v1/destinations/shop/attempts?x=secret"))
        #expect(attempts.operationName == "GET /v1/destinations/{name}/attempts" && attempts.parentSpanID == nil)
        #expect(Self.attribute(attempts, "http.route") == "/v1/destinations/{name}/attempts")
        #expect(Self.attribute(attempts, "url.path") == "/v1/destinations/shop/attempts")
        #expect(Self.attribute(attempts, "http.response.status_code") == "404" && attempts.status == nil)
        let nowhere = try await span(try await rig.send(.get, "/nowhere"))
        #expect(nowhere.operationName == "GET" && Self.attribute(nowhere, "http.route") == nil)
        _ = try await span(try await rig.send(.get, "/v1/events"))
        #expect(tracer.finishedSpans.count == 4 && tracer.activeSpans.isEmpty)
      }
    }
  }

  @Test("a tracer finds the W3C fields of a request by their names")
  func fields() throws {
    var fields = HTTPFields()
    fields[try #require(HTTPField.Name("TraceParent"))] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    let state = try #require(HTTPField.Name("tracestate"))
    fields.append(HTTPField(name: state, value: "a=1"))
    fields.append(HTTPField(name: state, value: "b=2"))
    let extractor = HeadExtractor()
    #expect(
      extractor.extract(key: "traceparent", from: fields) == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    #expect(extractor.extract(key: "tracestate", from: fields) == "a=1, b=2")
    #expect(extractor.extract(key: "baggage", from: fields) == nil)
    #expect(extractor.extract(key: "no name", from: fields) == nil)
  }

  @Test("without a tracer there is nothing to ask")
  func none() {
    #expect(RequestTracing(NoOpTracer()) == nil)
    #expect(RequestTracing(InMemoryTracer()) != nil)
  }
}
