import PenstockDelivery
import PenstockEvents
import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

struct WebhookSinkTests {
  private let transport = ScriptedTransport(.answer(200))
  private let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
  private let batch = makeBatch([#"{"a":1}"#, #"{"b":"é"}"#, #"{"c":3,"traits":{"x":1}}"#], first: 41)

  private func sink(
    _ change: (inout WebhookConfiguration) -> Void = { _ in }, _ transport: ScriptedTransport? = nil
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: "https://example.com/v1/ingest/?tenant=7")
    change(&configuration)
    return try WebhookSink(configuration, transport: transport ?? self.transport, clock: FixedClock())
  }

  private func verifySignature(of request: TransportRequest, over body: [UInt8]) throws {
    try WebhookSignature(secrets: [Secret(key)]).verify(
      id: request.header("webhook-id"), timestamp: request.header("webhook-timestamp"),
      signature: request.header("webhook-signature"), body: body, now: 1_772_323_198)
  }

  @Test(arguments: ["POST", "PUT"])
  func `a batch goes as one JSON array, with its id, range and log`(method: String) async throws {
    let transport = ScriptedTransport(.answer(204))
    let sink = try sink({ $0.method = method == "PUT" ? .put : .post }, transport)
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery) == .delivered(receipt: "HTTP 204"))
    let request = try #require(transport.requests.first)
    #expect(request.method == method)
    #expect(request.url == "https://example.com/v1/ingest/?tenant=7")
    #expect(String(decoding: request.body, as: UTF8.self) == #"[{"a":1},{"b":"é"},{"c":3,"traits":{"x":1}}]"#)
    let id = delivery.intent.id.rawValue
    request.expect([
      "content-type": "application/json", "webhook-id": id, "idempotency-key": id, "webhook-timestamp": "1772323198",
      "webhook-signature": nil, "x-penstock-range": "41-43", "x-penstock-log": logID,
    ])
    #expect(delivery.body.eventCount == 3)
    #expect(
      delivery.body.contentDigest
        == ContentDigest(.crc32c, of: request.body).bytes(length: request.body.count))
    #expect(delivery.body.contentLength == request.body.count)
  }

  @Test func `the signature covers the bytes that are sent`() async throws {
    let sink = try sink { $0.secrets = [Secret(key)] }
    _ = await sink.deliver(try makeDelivery(sink, batch))
    let request = try #require(transport.requests.first)
    try verifySignature(of: request, over: request.body)
  }

  @Test func `one event goes as a bare object, and only one`() async throws {
    let sink = try sink { $0.batching = .single }
    #expect(sink.configuration.maxRecords == 1)
    _ = await sink.deliver(try makeDelivery(sink, makeBatch([#"{"a":1}"#])))
    #expect(transport.requests.first?.body == Array(#"{"a":1}"#.utf8))
    let plan = try sink.plan(outline(batch))
    let error = #expect(throws: SinkError.self) { try sink.prepare(batch, plan: plan) }
    #expect(error?.message.contains("this delivery must have one event") == true)
    // It is about the batch. A record that is named becomes a dead letter.
    #expect(error?.offset == nil)
  }

  @Test func `GET carries one event, percent-encoded, in the query, and signs the event`() async throws {
    let sink = try sink { ($0.method, $0.parameter, $0.secrets) = (.get, "e v", [Secret(key)]) }
    #expect(sink.configuration.maxRecords == 1)
    let event = #"{"a":"x&y=+é/~"}"#
    _ = await sink.deliver(try makeDelivery(sink, makeBatch([event])))
    let request = try #require(transport.requests.first)
    #expect(request.body.isEmpty)
    #expect(request.header("content-type") == nil)
    let value = "%7B%22a%22%3A%22x%26y%3D%2B%C3%A9%2F~%22%7D"
    #expect(request.url == "https://example.com/v1/ingest/?tenant=7&e%20v=\(value)")
    try verifySignature(of: request, over: Array(event.utf8))
  }

  @Test func `an event too long for a query is refused with its offset, by the length it takes there`() throws {
    let event = #"{"a":"éé"}"#
    // event= and the encoded event
    let length = "event=".utf8.count + PercentEncoding.encode(event.utf8).utf8.count
    #expect(length == 40)
    for (limit, fits) in [(length, true), (length - 1, false)] {
      let sink = try sink { ($0.method, $0.maxParameterBytes) = (.get, limit) }
      let batch = makeBatch([event], first: 9)
      let plan = try sink.plan(outline(batch))
      if fits {
        #expect(try sink.prepare(batch, plan: plan).bytes == Array(event.utf8))
      } else {
        let error = #expect(throws: SinkError.self) { try sink.prepare(batch, plan: plan) }
        #expect(error?.offset == Offset(9))
        #expect(error?.message.contains("40 bytes") == true)
      }
    }
  }

  @Test func `GET adds to a query, is not answered from a cache, and does not say a parameter twice`() async throws {
    for (url, expected) in [
      ("https://example.com", "https://example.com/?event=%7B%7D"),
      ("https://example.com/in?", "https://example.com/in?event=%7B%7D"),
      ("https://example.com/in?a=1&b", "https://example.com/in?a=1&b&event=%7B%7D"),
    ] {
      let transport = ScriptedTransport(.answer(200))
      let sink = try sink({ ($0.url, $0.method) = (url, .get) }, transport)
      _ = await sink.deliver(try makeDelivery(sink, makeBatch(["{}"])))
      #expect(transport.requests.first?.url == expected)
      #expect(transport.requests.first?.header("cache-control") == "no-store")
    }
    for url in ["https://example.com/?event=1", "https://example.com/?a&%65vent", "https://example.com/?event"] {
      expectSinkError(containing: "already has the query parameter event") {
        _ = try sink { ($0.url, $0.method) = (url, .get) }
      }
      _ = try sink { $0.url = url }
    }
  }

  @Test func `a batch of which nothing is left is delivered without a request`() async throws {
    let sink = try sink()
    var delivery = try makeDelivery(sink, batch)
    delivery.body.eventCount = 0
    #expect(await sink.deliver(delivery) == .nothingToSend)
    #expect(transport.requests.isEmpty)
  }

  @Test(arguments: WebhookConfiguration.Method.allCases)
  func `a test delivery is one marked, signed event in the destination's form`(
    method: WebhookConfiguration.Method
  ) async throws {
    let transport = ScriptedTransport(.answer(202, [], "thanks"), .fail(.connectionRefused))
    let sink = try sink(
      { ($0.method, $0.secrets, $0.fields) = (method, [Secret(key)], FieldSelection(keeping: [.appID])) }, transport)
    let report = await sink.test()
    #expect(report.outcome == .delivered(receipt: "HTTP 202"))
    #expect(report.status == 202 && report.excerpt == "thanks")
    let request = try #require(transport.requests.first)
    #expect(request.method == method.rawValue)
    request.expect([
      "webhook-test": "true", "webhook-id": report.id, "x-penstock-range": nil, "x-penstock-log": nil,
    ])
    #expect(report.id.hasPrefix("test_") && report.id.utf8.count == 37)
    let sent = try #require(
      method == .get
        ? request.url.split(separator: "event=").last.flatMap { PercentEncoding.decode(String($0)) }
        : nil ?? String(decoding: request.body, as: UTF8.self))
    try verifySignature(of: request, over: Array(sent.utf8))
    let event = method == .get ? sent : String(sent.dropFirst().dropLast())
    #expect(method == .get || (sent.hasPrefix("[") && sent.hasSuffix("]")))
    _ = try Array(event.utf8).withUnsafeBytes { try EventValidator().validate($0) }
    #expect(event.contains("app_id") && !event.contains("traits"), "\(event)")

    let failed = await sink.test()
    #expect(failed.status == nil && failed.outcome.isRetry && failed.connection == nil)
    #expect(failed.id != report.id)
  }

  @Test func `headers of the user are sent, under any name`() async throws {
    let sink = try sink { $0.headers = [.init("your-api-key", Secret("k")), .bearer(Secret("t"))] }
    _ = await sink.deliver(try makeDelivery(sink, batch))
    #expect(transport.requests.first?.header("Your-Api-Key") == "k")
    #expect(transport.requests.first?.header("Authorization") == "Bearer t")
  }

  @Test func `a delivery under way keeps its plan when the configuration changes`() async throws {
    let old = try sink()
    let delivery = try makeDelivery(old, batch)
    let new = try sink {
      ($0.method, $0.fields, $0.headers) = (.get, FieldSelection(keeping: []), [.init("key", Secret("new"))])
    }
    let body = try new.prepare(batch, plan: delivery.intent.plan)
    #expect(body.contentDigest == delivery.body.contentDigest)
    #expect(body.bytes == delivery.body.bytes)
    _ = await new.deliver(delivery)
    let request = try #require(transport.requests.first)
    #expect(request.method == "POST")
    #expect(request.body == delivery.body.bytes)
    #expect(request.header("key") == "new")
  }

  @Test func `fields that are not selected are left out`() throws {
    let sink = try sink { $0.fields = FieldSelection(keeping: [.appID]) }
    let body = try sink.prepare(batch, plan: sink.plan(outline(batch)))
    #expect(String(decoding: body.bytes, as: UTF8.self) == #"[{"a":1},{"b":"é"},{"c":3}]"#)
  }

  @Test func `a plan holds neither the address nor a key`() throws {
    let sink = try sink { ($0.headers, $0.secrets) = ([.init("key", Secret("hunter2"))], [Secret(key)]) }
    let plan = String(decoding: try sink.plan(outline(batch)), as: UTF8.self)
    let expected =
      "penstock-webhook 1\nmethod=POST\nbody=array\nfields=*\nparameter=event\nlimit=8000\ndigest=crc32c\n"
    #expect(plan == expected)
  }

  @Test func `a plan that cannot be followed stops the delivery and says why`() async throws {
    let sink = try sink()
    let plan = try sink.plan(outline(batch))
    let text = String(decoding: plan, as: UTF8.self)
    let strange = [
      ("penstock-webhook 2\n", "version 2"), ("penstock-export 1\n", "not from this sink"), ("", "not from"),
      (text + "colour=red\n", "unknown entry"), (text + "method=POST\n", "twice"),
      ("penstock-webhook 1\nmethod=POST\n", "lacks"), (text.replacing("POST", with: "BREW"), "method=BREW"),
      (text.replacing("array", with: "rows"), "body=rows"), (text.replacing("8000", with: "many"), "not a number"),
      (text.replacing("fields=*", with: "fields=colour"), "colour"),
      (text.replacing("crc32c", with: "md5"), "digest=md5"),
    ]
    for (text, words) in strange {
      expectSinkError(containing: words) { _ = try sink.prepare(batch, plan: Array(text.utf8)) }
      var delivery = try makeDelivery(sink, batch)
      let intent = delivery.intent
      delivery.intent = Intent(
        id: intent.id, first: intent.first, end: intent.end, contentDigest: intent.contentDigest,
        plan: Array(text.utf8), createdAt: intent.createdAt)
      #expect(await sink.deliver(delivery).isRefused)
    }
  }

  @Test func `what came of an attempt reaches the delivery, without secrets`() async throws {
    let transport = ScriptedTransport(
      .answer(503, [(name: "retry-after", value: "30")]), .answer(422, [], "bad row for key hunter2"),
      .answer(302, [(name: "Location", value: "https://elsewhere.example")]), .fail(.connectionRefused))
    let sink = try sink({ $0.headers = [.init("key", Secret("hunter2"))] }, transport)
    let delivery = try makeDelivery(sink, batch)
    #expect(
      await sink.deliver(delivery)
        == .retry(reason: "the receiver answered 503 Service Unavailable", after: .seconds(30)))
    #expect(
      await sink.deliver(delivery)
        == .rejected(reason: "the receiver answered 422 Unprocessable Entity: bad row for key <secret>"))
    #expect(await sink.deliver(delivery).isRefused)
    #expect(await sink.deliver(delivery) == .retry(reason: "connection refused", after: nil))
    #expect(transport.stepsLeft == 0)
  }

  @Test func `a transport that was handed in is not closed by the sink`() async throws {
    await (try sink()).close()
    #expect(transport.closings == 0)
  }
}
