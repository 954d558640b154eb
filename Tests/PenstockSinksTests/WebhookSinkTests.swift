import PenstockDelivery
import PenstockEvents
import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

struct WebhookSinkTests {
  private let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
  private let batch = makeBatch([#"{"a":1}"#, #"{"b":"é"}"#, #"{"c":3,"traits":{"x":1}}"#], first: 41)

  private func sink(
    _ change: (inout WebhookConfiguration) -> Void = { _ in }, _ transport: ScriptedTransport = ScriptedTransport()
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: "https://example.com/v1/ingest/?tenant=7")
    change(&configuration)
    return try WebhookSink(configuration, transport: transport, clock: FixedClock())
  }

  @Test("a batch goes as one JSON array, with its id, range and log", arguments: ["POST", "PUT"])
  func array(method: String) async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(204))
    let sink = try sink({ $0.method = method == "PUT" ? .put : .post }, transport)
    let delivery = try makeDelivery(sink, batch)
    #expect(await sink.deliver(delivery) == .delivered(receipt: "HTTP 204"))
    let request = try #require(transport.requests.first)
    #expect(request.method == method)
    #expect(request.url == "https://example.com/v1/ingest/?tenant=7")
    #expect(String(decoding: request.body, as: UTF8.self) == #"[{"a":1},{"b":"é"},{"c":3,"traits":{"x":1}}]"#)
    #expect(request.header("content-type") == "application/json")
    #expect(request.header("webhook-id") == delivery.intent.id.rawValue)
    #expect(request.header("idempotency-key") == delivery.intent.id.rawValue)
    #expect(request.header("webhook-timestamp") == "1772323198")
    #expect(request.header("webhook-signature") == nil)
    #expect(request.header("x-penstock-range") == "41-43")
    #expect(request.header("x-penstock-log") == logID)
    #expect(delivery.body.eventCount == 3)
    #expect(delivery.body.contentDigest == Digest.sha256(request.body))
    #expect(delivery.body.contentLength == request.body.count)
  }

  @Test("the signature covers the bytes that are sent")
  func signed() async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(200))
    let sink = try sink({ $0.secrets = [Secret(key)] }, transport)
    _ = await sink.deliver(try makeDelivery(sink, batch))
    let request = try #require(transport.requests.first)
    try WebhookSignature(secrets: [Secret(key)]).verify(
      id: request.header("webhook-id"), timestamp: request.header("webhook-timestamp"),
      signature: request.header("webhook-signature"), body: request.body, now: 1_772_323_198)
  }

  @Test("one event goes as a bare object, and only one")
  func single() async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(200))
    let sink = try sink({ $0.batching = .single }, transport)
    #expect(sink.configuration.maxRecords == 1)
    _ = await sink.deliver(try makeDelivery(sink, makeBatch([#"{"a":1}"#])))
    #expect(transport.requests.first?.body == Array(#"{"a":1}"#.utf8))
    let plan = try sink.plan(outline(batch))
    let error = #expect(throws: SinkError.self) { try sink.prepare(batch, plan: plan) }
    #expect(error?.message.contains("this delivery must have one event") == true)
    // It is about the batch. A record that is named becomes a dead letter.
    #expect(error?.offset == nil)
  }

  @Test("GET carries one event, percent-encoded, in the query, and signs the event")
  func get() async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(200))
    let sink = try sink(
      {
        $0.method = .get
        $0.parameter = "e v"
        $0.secrets = [Secret(key)]
      }, transport)
    #expect(sink.configuration.maxRecords == 1)
    let event = #"{"a":"x&y=+é/~"}"#
    _ = await sink.deliver(try makeDelivery(sink, makeBatch([event])))
    let request = try #require(transport.requests.first)
    #expect(request.body.isEmpty)
    #expect(request.header("content-type") == nil)
    let value = "%7B%22a%22%3A%22x%26y%3D%2B%C3%A9%2F~%22%7D"
    #expect(request.url == "https://example.com/v1/ingest/?tenant=7&e%20v=\(value)")
    try WebhookSignature(secrets: [Secret(key)]).verify(
      id: request.header("webhook-id"), timestamp: request.header("webhook-timestamp"),
      signature: request.header("webhook-signature"), body: Array(event.utf8), now: 1_772_323_198)
  }

  @Test("an event too long for a query is refused with its offset, by the length it takes there")
  func getLimit() throws {
    let event = #"{"a":"éé"}"#
    // event= and the encoded event
    let length = "event=".utf8.count + PercentEncoding.encode(event.utf8).utf8.count
    #expect(length == 40)
    for (limit, fits) in [(length, true), (length - 1, false)] {
      let sink = try sink {
        $0.method = .get
        $0.maxParameterBytes = limit
      }
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

  @Test("GET adds to a query that is there, is not answered from a cache, and does not say a parameter twice")
  func getQueries() async throws {
    for (url, expected) in [
      ("https://example.com", "https://example.com/?event=%7B%7D"),
      ("https://example.com/in?", "https://example.com/in?event=%7B%7D"),
      ("https://example.com/in?a=1&b", "https://example.com/in?a=1&b&event=%7B%7D"),
    ] {
      let transport = ScriptedTransport(ScriptedTransport.answer(200))
      let sink = try sink(
        {
          $0.url = url
          $0.method = .get
        }, transport)
      _ = await sink.deliver(try makeDelivery(sink, makeBatch(["{}"])))
      #expect(transport.requests.first?.url == expected)
      #expect(transport.requests.first?.header("cache-control") == "no-store")
    }
    for url in ["https://example.com/?event=1", "https://example.com/?a&%65vent", "https://example.com/?event"] {
      expectSinkError(containing: "already has the query parameter event") {
        _ = try sink {
          $0.url = url
          $0.method = .get
        }
      }
      _ = try sink { $0.url = url }
    }
  }

  @Test("a batch of which nothing is left is delivered without a request")
  func nothingLeft() async throws {
    let transport = ScriptedTransport()
    let sink = try sink({ _ in }, transport)
    var delivery = try makeDelivery(sink, batch)
    delivery.body.eventCount = 0
    #expect(await sink.deliver(delivery) == .nothingToSend)
    #expect(transport.requests.isEmpty)
  }

  @Test(
    "a test delivery is one marked, signed event in the destination's form",
    arguments: WebhookConfiguration.Method.allCases)
  func testDelivery(method: WebhookConfiguration.Method) async throws {
    let transport = ScriptedTransport(
      ScriptedTransport.answer(202, [], "thanks"), ScriptedTransport.fail(.connectionRefused))
    let sink = try sink(
      {
        $0.method = method
        $0.secrets = [Secret(key)]
        $0.fields = FieldSelection(keeping: [.appID])
      }, transport)
    let report = await sink.test()
    #expect(report.outcome == .delivered(receipt: "HTTP 202"))
    #expect(report.status == 202 && report.excerpt == "thanks")
    let request = try #require(transport.requests.first)
    #expect(request.method == method.rawValue)
    #expect(request.header("webhook-test") == "true")
    #expect(request.header("webhook-id") == report.id)
    #expect(report.id.hasPrefix("test_") && report.id.utf8.count == 37)
    #expect(request.header("x-penstock-range") == nil)
    #expect(request.header("x-penstock-log") == nil)
    let sent = try #require(
      method == .get
        ? request.url.split(separator: "event=").last.flatMap { PercentEncoding.decode(String($0)) }
        : nil
          ?? String(decoding: request.body, as: UTF8.self))
    try WebhookSignature(secrets: [Secret(key)]).verify(
      id: request.header("webhook-id"), timestamp: request.header("webhook-timestamp"),
      signature: request.header("webhook-signature"), body: Array(sent.utf8), now: 1_772_323_198)
    let event = method == .get ? sent : String(sent.dropFirst().dropLast())
    #expect(method == .get || (sent.hasPrefix("[") && sent.hasSuffix("]")))
    _ = try Array(event.utf8).withUnsafeBytes { try EventValidator().validate($0) }
    #expect(event.contains("app_id") && !event.contains("traits"), "\(event)")

    let failed = await sink.test()
    #expect(failed.status == nil && failed.outcome.isRetry && failed.connection == nil)
    #expect(failed.id != report.id)
  }

  @Test("headers of the user are sent, under any name")
  func headers() async throws {
    let transport = ScriptedTransport(ScriptedTransport.answer(200))
    let sink = try sink({ $0.headers = [.init("your-api-key", Secret("k")), .bearer(Secret("t"))] }, transport)
    _ = await sink.deliver(try makeDelivery(sink, batch))
    #expect(transport.requests.first?.header("Your-Api-Key") == "k")
    #expect(transport.requests.first?.header("Authorization") == "Bearer t")
  }

  @Test("a delivery under way keeps its plan when the configuration changes")
  func planIsFrozen() async throws {
    let old = try sink()
    let delivery = try makeDelivery(old, batch)
    let transport = ScriptedTransport(ScriptedTransport.answer(200))
    let new = try sink(
      {
        $0.method = .get
        $0.fields = FieldSelection(keeping: [])
        $0.headers = [.init("key", Secret("new"))]
      }, transport)
    let body = try new.prepare(batch, plan: delivery.intent.plan)
    #expect(body.contentDigest == delivery.body.contentDigest)
    #expect(body.bytes == delivery.body.bytes)
    _ = await new.deliver(delivery)
    let request = try #require(transport.requests.first)
    #expect(request.method == "POST")
    #expect(request.body == delivery.body.bytes)
    #expect(request.header("key") == "new")
  }

  @Test("fields that are not selected are left out")
  func fields() throws {
    let sink = try sink { $0.fields = FieldSelection(keeping: [.appID]) }
    let body = try sink.prepare(batch, plan: sink.plan(outline(batch)))
    #expect(String(decoding: body.bytes, as: UTF8.self) == #"[{"a":1},{"b":"é"},{"c":3}]"#)
  }

  @Test("a plan holds neither the address nor a key")
  func planHoldsNoSecret() throws {
    let sink = try sink {
      $0.headers = [.init("key", Secret("hunter2"))]
      $0.secrets = [Secret(key)]
    }
    let plan = String(decoding: try sink.plan(outline(batch)), as: UTF8.self)
    #expect(plan == "penstock-webhook 1\nmethod=POST\nbody=array\nfields=*\nparameter=event\nlimit=8000\n")
  }

  @Test("a plan that cannot be followed stops the delivery and says why")
  func strangePlans() async throws {
    let sink = try sink()
    let plan = try sink.plan(outline(batch))
    let text = String(decoding: plan, as: UTF8.self)
    let strange = [
      ("penstock-webhook 2\n", "version 2"), ("penstock-export 1\n", "not from this sink"), ("", "not from"),
      (text + "colour=red\n", "unknown entry"), (text + "method=POST\n", "twice"),
      ("penstock-webhook 1\nmethod=POST\n", "lacks"), (text.replacing("POST", with: "BREW"), "method=BREW"),
      (text.replacing("array", with: "rows"), "body=rows"), (text.replacing("8000", with: "many"), "not a number"),
      (text.replacing("fields=*", with: "fields=colour"), "colour"),
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

  @Test("what came of an attempt reaches the delivery, without secrets")
  func outcomes() async throws {
    let transport = ScriptedTransport(
      ScriptedTransport.answer(503, [(name: "retry-after", value: "30")]),
      ScriptedTransport.answer(422, [], "bad row for key hunter2"),
      ScriptedTransport.answer(302, [(name: "Location", value: "https://elsewhere.example")]),
      ScriptedTransport.fail(.connectionRefused))
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

  @Test("a transport that was handed in is not closed by the sink")
  func closing() async throws {
    let transport = ScriptedTransport()
    await (try sink({ _ in }, transport)).close()
    #expect(transport.closings == 0)
  }
}
