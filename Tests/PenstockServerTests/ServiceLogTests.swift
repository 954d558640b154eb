import HTTPTypes
import InMemoryTracing
import Logging
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing
import Tracing

@testable import PenstockServer

@Suite("The service's log", .timeLimit(.minutes(1))) struct ServiceLogTests {
  @TemporaryDirectory private var directory: String

  /// Lines as a service writes them.
  final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }

    var logger: Logger {
      Logger(label: "penstock") { [self] label in
        JSONLogHandler(label: label, clock: ManualClock()) { line in self.lines.withLock { $0.append(line) } }
      }
    }
  }

  @Test
  func `a line is one JSON object, with the metadata of logger, provider and line, of which the nearest counts`() {
    let lines = Lines()
    var logger = lines.logger
    logger.info("hello")
    logger[metadataKey: "a"] = "of the logger"
    logger[metadataKey: "b"] = "of the logger"
    logger.handler.metadataProvider = .init { ["b": "provided", "c": "provided"] }
    logger.error(
      "two\nlines, \"quoted\"", metadata: ["c": "of the line", "n": .stringConvertible(7), "d": ["x": ["y", "z"]]])
    let start = #"{"time":"2026-01-01T00:00:00.000Z","level":""#
    #expect(
      lines.all == [
        start + #"info","label":"penstock","message":"hello"}"#,
        start + #"error","label":"penstock","message":"two\nlines, \"quoted\"","metadata":"#
          + #"{"a":"of the logger","b":"provided","c":"of the line","d":{"x":["y","z"]},"n":"7"}}"#,
      ])
  }

  @Test func `what a request caused names it, also after its answer`() async {
    let lines = Lines()
    lines.logger.ofRequest.info("nobody asked")
    await RequestID.$current.withValue("17") { Task { lines.logger.ofRequest.info("asked") } }.value
    #expect(lines.all.count == 2 && lines.all[0].hasSuffix(#""nobody asked"}"#))
    #expect(lines.all[1].hasSuffix(#""message":"asked","metadata":{"requestId":"17"}}"#))
  }

  @Test func `a request that could not be answered is logged with its id, and why`() async throws {
    // Where its dead letters should be.
    try write("no directory", to: directory + "/letters")
    let destination = RedeliveryTests.destination(directory) { _ in ScriptedSink() }
    let lines = Lines()
    try await ServiceRig.run(in: directory, destinations: [destination], logger: lines.logger) { rig in
      let answer = try await rig.send(.get, RedeliveryTests.path + "/deadletters")
      let field = try #require(HTTPField.Name("X-Request-Id"))
      let id = try #require(answer.headers[field])
      #expect(answer.status == 500 && !answer.text.contains(directory), "\(answer.text)")
      let told = lines.all.filter { $0.contains(#""requestId":"\#(id)""#) }
      #expect(told.count == 1 && told[0].contains(#""route":"getDeadLetters""#), "\(lines.all)")
      #expect(told.first?.contains(directory) == true)
    }
  }

  @Test func `both notes of a change have the request's id`() async throws {
    var ids: [String] = []
    let field = try #require(HTTPField.Name("X-Request-Id"))
    let asked = Mutex<[String]>([])
    try await ServiceRig.run(in: directory) { rig in
      for _ in 0..<2 {
        let answer = try await rig.send(.post, "/v1/keys", Array("{}".utf8))
        asked.withLock { $0.append(answer.headers[field] ?? "none") }
      }
    }
    ids = asked.withLock { $0 }
    #expect(Set(ids).count == 2)
    let audit = try await LogReader.open(at: directory + "/log.audit")
    defer { audit.close() }
    var notes: [String] = []
    for try await record in audit.records() { notes.append(record.text) }
    #expect(notes.count == 4)
    for (index, note) in notes.enumerated() where notes.count == 4 {
      #expect(note.contains(#""requestId":"\#(ids[index / 2])""#), "\(note)")
    }
  }
}

@Suite("Spans of requests", .timeLimit(.minutes(1))) struct TracingTests {
  @TemporaryDirectory private var directory: String

  static func attribute(_ span: FinishedInMemorySpan, _ name: String) -> String? {
    switch span.attributes.get(name) {
    case .string(let text): text
    case .int64(let number): "\(number)"
    case .int32(let number): "\(number)"
    default: nil
    }
  }

  @Test func `each request is one span with its route, status and id, within the caller's trace`() async throws {
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

  @Test func `a tracer finds the W3C fields of a request by their names`() throws {
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

  @Test func `without a tracer there is nothing to ask`() {
    #expect(RequestTracing(NoOpTracer()) == nil)
    #expect(RequestTracing(InMemoryTracer()) != nil)
  }
}
