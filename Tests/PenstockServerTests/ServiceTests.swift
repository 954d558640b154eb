import HTTPTypes
import PenstockLog
import PenstockSinks
import PenstockTestKit
import Testing

@testable import PenstockServer
import PenstockSupport

@Suite("The service", .timeLimit(.minutes(2))) struct ServiceTests {
  @TemporaryDirectory private var directory: String

  @Test func `events are answered with their offsets, and are there byte for byte`() async throws {
    try await ServiceRig.run { rig in
      #expect(try await rig.post(#"[{"event":"a"}, {"ts":2}]"#).text == #"{"accepted":2,"first":0,"last":1}"#)
      let lines = try await rig.send(
        .post, "/v1/events", Array("{\"ts\":3}\n{\"ts\":4}\n".utf8), type: "application/x-ndjson")
      #expect(lines.text == #"{"accepted":2,"first":2,"last":3}"#)
      #expect(try await rig.post("[]").text == #"{"accepted":0}"#)
      for coding in [ContentCoding.gzip, .zstd] {
        let body = try BodyDecompressorTests.compressed(coding, Array(#"{"coded":1}"#.utf8))
        let answer = try await rig.send(.post, "/v1/events", body, [("Content-Encoding", coding.rawValue)])
        #expect(answer.status == 200, "\(answer.text)")
      }
      let page = try await rig.send(.get, "/v1/events?from=1&limit=2")
      #expect(page.text == "{\"ts\":2}\n{\"ts\":3}\n")
      #expect(page.headers[try #require(HTTPField.Name("Penstock-End"))] == "3")
      #expect(try await rig.send(.get, "/v1/events?from=6").text == "")
      #expect(try await rig.send(.get, "/v1/events?from=x").status == 400)
    }
  }

  @Test func `a service runs once: another run is an error`() async throws {
    try await ServiceRig.serve(destinations: []) { rig in
      do {
        try await rig.service.run()
        Issue.record("it ran again")
      } catch is ServiceError {}
      #expect(try await rig.send(.get, "/healthz").status == 200)
    }
  }

  @Test func `every bad request is answered with what is wrong, and leaves nothing in the log`() async throws {
    try await ServiceRig.run({ ($0.limits.maxBodyBytes, $0.limits.maxEventBytes) = (2000, 1000) }) { rig in
      func expect(
        _ status: Int, _ code: String, _ body: [UInt8], type: String? = "application/json",
        _ headers: [(String, String)] = [], query: String = ""
      ) async throws {
        let answer = try await rig.send(.post, "/v1/events" + query, body, type: type, headers)
        #expect(answer.status == status && answer.code == code, "\(code): \(answer.status) \(answer.text)")
      }
      func text(_ text: String) -> [UInt8] { Array(text.utf8) }
      try await expect(400, "unexpected_end", text(#"[{"ts":1}"#))
      try await expect(400, "wrong_type", text(#"[{"ts":1},{"ts":"x"}]"#))
      try await expect(400, "duplicate_field", text(#"{"ts":1,"ts":2}"#))
      try await expect(400, "invalid_utf8", text(#"{"a":""#) + [0xFF] + text(#""}"#))
      try await expect(400, "lone_surrogate", text(#"{"a":"\ud800"}"#))
      try await expect(400, "byte_order_mark", [0xEF, 0xBB, 0xBF] + text("{}"))
      try await expect(400, "unexpected_byte", text("{}\0").reversed())
      try await expect(400, "too_deep", text(#"{"a":"# + String(repeating: "[", count: 100)))
      try await expect(400, "empty", text(" "))
      try await expect(400, "not_an_object", text("[1]"))
      try await expect(413, "record_too_long", text(#"{"a":""# + String(repeating: "x", count: 1000) + #""}"#))
      try await expect(413, "body_too_long", text("[" + String(repeating: " ", count: 2000) + "]"))
      let bomb = try BodyDecompressorTests.compressed(.gzip, [UInt8](repeating: 0x20, count: 1 << 20))
      #expect(bomb.count < 2000)
      try await expect(413, "body_too_long", bomb, [("Content-Encoding", "gzip")])
      try await expect(400, "bad_coding", text("{}"), [("Content-Encoding", "gzip")])
      try await expect(400, "bad_coding", text("{}"), [("Content-Encoding", "zstd")])
      try await expect(415, "unsupported_coding", text("{}"), [("Content-Encoding", "br")])
      try await expect(415, "unsupported_media_type", text("{}"), type: "text/plain")
      try await expect(400, "bad_request", text("{}"), query: "?onError=perhaps")
      try await expect(400, "bad_request", text("{}"), [("Penstock-Producer", "p")])
      try await expect(
        400, "bad_request", text("{}"), [("Penstock-Producer", "penstock.key.1"), ("Penstock-Sequence", "1")])
      try await expect(400, "bad_request", text("{}"), [("Penstock-Producer", "p"), ("Penstock-Sequence", "0")])
      try await expect(400, "bad_request", text("{}"), [("Idempotency-Key", String(repeating: "k", count: 256))])
      try await expect(409, "outOfSequence", text("{}"), [("Penstock-Producer", "p"), ("Penstock-Sequence", "2")])
      #expect(try await rig.send(.get, "/v1/nothing").status == 404)
      let other = try await rig.send(.delete, "/v1/events")
      #expect(other.status == 405 && other.headers[.allow] == "POST, GET, HEAD")
      // As if nothing had been.
      #expect(try await rig.post("{}").text == #"{"accepted":1,"first":0,"last":0}"#)
    }
  }

  @Test func `a request sent again is appended once, over a restart as well`() async throws {
    let key: [(String, String)] = [("Idempotency-Key", "order 17")]
    let producer: [(String, String)] = [("Penstock-Producer", "web"), ("Penstock-Sequence", "1")]
    try await ServiceRig.run(in: directory) { rig in
      let keyed = try await rig.post("[{\"ts\":1},{\"ts\":2}]", key)
      #expect(keyed.text == #"{"accepted":2,"first":0,"last":1}"#)
      let numbered = try await rig.post("{\"ts\":3}", producer)
      #expect(numbered.text == #"{"accepted":1,"first":2,"last":2}"#)
    }
    try await ServiceRig.run(in: directory) { rig in
      let keyed = try await rig.post("[{\"ts\":1}, {\"ts\":2}]", key)
      #expect(keyed.text == #"{"accepted":2,"first":0,"last":1,"duplicate":true}"#)
      let numbered = try await rig.post("{\"ts\":3}", producer)
      #expect(numbered.text == #"{"accepted":1,"first":2,"last":2,"duplicate":true}"#)
      #expect(try await rig.post("{\"ts\":9}", key).status == 422)
      let known = try await rig.send(.get, "/v1/producers/web")
      #expect(known.text == #"{"name":"web","lastSequence":1,"isCertain":true}"# + "\n")
      let next = try await rig.post("{\"ts\":4}")
      #expect(next.text == #"{"accepted":1,"first":3,"last":3}"#)
    }
  }

  @Test func `a producer the log may have forgotten says how far it got, and continues`() async throws {
    var small = LogConfiguration()
    (small.maxProducers, small.segmentBytes, small.encoders) = (1, 64 << 10, 0)
    let log = try await Log.open(at: directory + "/log", configuration: small)
    func append(_ name: String, _ sequences: ClosedRange<UInt64>, bytes: Int) async throws {
      let producer = try await log.producer(named: name)
      if producer.history == .uncertain { try producer.resume(after: 0) }
      var random = SplitMix64(seed: 1)
      for sequence in sequences {
        var batch = RecordBatch()
        batch.append(String((0..<bytes).map { _ in Character(UnicodeScalar(UInt8(random.next() % 64 + 48))) }))
        _ = try await producer.append(batch, sequence: sequence)
      }
    }
    try await append("one", 1...1, bytes: 1)
    // So much that a segment is left, and with it the snapshot that has forgotten the first.
    try await append("two", 1...6, bytes: 40_000)
    try await log.close()
    try await ServiceRig.run(in: directory) { rig in
      func send(_ sequence: Int, _ more: [(String, String)] = []) async throws -> ServiceRig.Answer {
        try await rig.post("{}", [("Penstock-Producer", "one"), ("Penstock-Sequence", "\(sequence)")] + more)
      }
      let unknown = try await send(2)
      #expect(unknown.status == 409 && unknown.code == "unknownProducer", "\(unknown.text)")
      #expect(try await send(2, [("Penstock-Resume-After", "x")]).status == 400)
      #expect(try await send(2, [("Penstock-Resume-After", "1")]).status == 200)
      // What the log knows counts more.
      #expect(try await send(3, [("Penstock-Resume-After", "7")]).status == 200)
      let again = try await send(3)
      #expect(again.status == 200 && again.text.contains(#""duplicate":true"#))
      #expect(try await send(9, [("Penstock-Resume-After", "8")]).code == "outOfSequence")
    }
  }

  @Test
  func `two apps whose ids share 40 bits of a hash have a producer each, whatever names the log knows`() async throws {
    let (one, two) = ("app-373519", "app-769120")
    func shared(_ app: String) -> String {
      "penstock.app." + Digest.hex(Array(Digest.sha256(Array(app.utf8))[..<5])) + ".web"
    }
    #expect(shared(one) == shared(two))
    let long = String(repeating: "n", count: 40)
    for name in ["web", long] {
      let names = Set(try [one, two, nil].map { try IngestIdentity.producerName(name, appID: $0) })
      #expect(names.count == 3 && names.allSatisfy(CursorStore.isName), "\(names)")
    }
    #expect(
      try IngestIdentity.producerName(long, appID: one)
        != IngestIdentity.producerName(long.dropLast() + "m", appID: one))
    let path = directory + "/keys.json"
    let store = try APIKeyStore(path)
    let tokens = try [one, two].map { ($0, try store.create(.init(name: $0, role: .appAdmin, appID: $0)).token) }
    let log = try await Log.open(at: directory + "/log")
    var batch = RecordBatch()
    batch.append(#"{"app_id":"app-373519"}"#)
    let producer = try await log.producer(named: shared(one))
    for sequence in 1...3 as ClosedRange<UInt64> { try await producer.append(batch, sequence: sequence) }
    try await log.close()
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig in
      for (app, token) in tokens {
        let sent = try await rig.send(
          .post, "/v1/events", Array(#"{"app_id":"\#(app)"}"#.utf8), token: token,
          [("Penstock-Producer", "web"), ("Penstock-Sequence", "1")])
        #expect(sent.status == 200 && !sent.text.contains("duplicate"), "\(app): \(sent.text)")
        let known = try await rig.send(.get, "/v1/producers/web", token: token)
        #expect(known.json["lastSequence"] as? Int == 1, "\(app): \(known.text)")
      }
    }
  }

  @Test func `keys open what their roles may, and nothing else`() async throws {
    let path = directory + "/keys.json"
    let store = try APIKeyStore(path)
    let admin = try store.create(.init(name: "ops", role: .companyAdmin)).token
    let shop = try store.create(.init(name: "shop", role: .appAdmin, appID: "shop")).token
    let slow = try store.create(.init(name: "slow", role: .producer, limit: .init(requestsPerSecond: 0.001, burst: 1)))
      .token
    try await ServiceRig.run(in: directory, { $0.keysFile = path }) { rig in
      let event = Array(#"{"app_id":"shop"}"#.utf8)
      #expect(try await rig.send(.post, "/v1/events", event).status == 401)
      #expect(try await rig.send(.post, "/v1/events", event, token: "psk_0_0").status == 401)
      #expect(try await rig.send(.post, "/v1/events", event, token: shop).status == 200)
      let foreign = try await rig.send(
        .post, "/v1/events", Array(#"[{"app_id":"shop"},{"app_id":"x"}]"#.utf8), token: shop)
      #expect(foreign.status == 403 && foreign.code == "foreign_app")
      #expect(try await rig.send(.post, "/v1/events", Array("{}".utf8), token: admin).status == 200)
      #expect(try await rig.send(.get, "/v1/events", token: shop).text == "{\"app_id\":\"shop\"}\n")
      #expect(try await rig.send(.post, "/v1/events", event, token: slow).status == 200)
      let late = try await rig.send(.post, "/v1/events", event, token: slow)
      #expect(late.status == 429 && late.headers[.retryAfter] == "1000")
      // Before its rights are looked at, so that it cannot fill the audit log either.
      #expect(try await rig.send(.get, "/v1/events", token: slow).status == 429)
      #expect(try await rig.send(.post, "/v1/destinations/x/pause", token: shop).status == 403)
      #expect(try await rig.send(.get, "/healthz").status == 200)
      // Keys through the API.
      let made = try await rig.send(
        .post, "/v1/keys", Array(#"{"name":"p","role":"producer","appId":"shop"}"#.utf8), token: shop)
      let token = try #require(made.json["token"] as? String)
      #expect(made.status == 201 && !made.text.contains("hash"))
      #expect(try await rig.send(.post, "/v1/events", event, token: token).status == 200)
      for body in [#"{"name":"p","role":"producer"}"#, #"{"name":"p","role":"viewer","appId":"x"}"#] {
        #expect(try await rig.send(.post, "/v1/keys", Array(body.utf8), token: shop).status == 403)
      }
      let id = try #require(APIKey.parts(of: token)).id
      let adminID = try #require(APIKey.parts(of: admin)).id
      #expect(try await rig.send(.delete, "/v1/keys/\(adminID)", token: shop).status == 404)
      #expect(try await rig.send(.delete, "/v1/keys/\(id)", token: shop).status == 200)
      #expect(try await rig.send(.post, "/v1/events", event, token: token).status == 401)
      let listed = try await rig.send(.get, "/v1/keys", token: shop).text
      #expect(listed.contains("\"shop\"") && !listed.contains("\"ops\""))
      // A key revoked elsewhere, by the command line, is refused after a reload.
      try APIKeyStore(path).revoke(adminID)
      #expect(try await rig.send(.get, "/v1/status", token: admin).status == 200)
      try rig.service.reload(ServiceLimits())
      #expect(try await rig.send(.get, "/v1/status", token: admin).status == 401)
    }
    let audit = try await LogReader.open(at: directory + "/log.audit")
    defer { audit.close() }
    var notes: [String] = []
    for try await record in audit.records() { notes.append(record.text) }
    let made = notes.filter { $0.contains(#""action":"postKey""#) && $0.contains(#""name":"shop""#) }
    #expect(made.first?.contains(#""outcome":"asked","detail":{"body":"{\"name\":\"p\""#) == true, "\(made)")
    #expect(made.contains { $0.contains(#""outcome":"done","detail":{"status":201}"#) })
    #expect(made.contains { $0.contains(#""outcome":"refused","detail":{"status":403}"#) })
    #expect(notes.contains { $0.contains(#""action":"pause""#) && $0.contains(#""outcome":"forbidden""#) })
    #expect(!notes.contains { $0.contains("psk_") })
  }

  @Test func `without keys only this machine asks, and no page of elsewhere`() async throws {
    try await ServiceRig.run(in: directory) { rig async throws in
      #expect(try await rig.send(.get, "/v1/status", nil, [("Origin", "https://evil.example")]).status == 403)
      #expect(try await rig.send(.get, "/v1/status").status == 200)
      #expect(try await rig.send(.get, "/v1/keys").status == 409)
    }
    var open = ServiceConfiguration()
    open.host = "0.0.0.0"
    #expect(open.complaint != nil)
    open.keysFile = directory + "/keys.json"
    #expect(open.complaint == nil)
  }

  @Test func `limits are replaced while it runs, but for those of connections`() async throws {
    try await ServiceRig.run { rig in
      var limits = ServiceLimits()
      limits.maxEventBytes = 5
      try rig.service.reload(limits)
      #expect(try await rig.post(#"{"ts":1}"#).status == 413)
      limits.maxEventBytes = 0
      #expect(throws: KeyStoreError.self) { try rig.service.reload(limits) }
      #expect(try await rig.post(#"{"a":1}"#).status == 413)
      #expect(try await rig.post("{}").status == 200)
    }
  }

  @Test func `when bodies take more memory than there is, clients are asked to come again`() async throws {
    try await ServiceRig.run({ ($0.limits.maxBodyBytes, $0.limits.bodyMemory) = (1 << 20, 2 << 20) }) { rig in
      let taken = MemoryShare(rig.service.memory)
      #expect(taken.grow(to: 2 << 20))
      let answer = try await rig.post("[" + String(repeating: " ", count: 1000) + "]")
      #expect(answer.status == 429 && answer.headers[.retryAfter] == "1")
      withExtendedLifetime(taken) {}
    }
  }

  @Test func `what can be scraped and described is whole`() async throws {
    try await ServiceRig.run { rig in
      _ = try await rig.post(#"{"ts":1}"#)
      let metrics = try await rig.send(.get, "/metrics").text
      #expect(metrics.contains("\npenstock_ingest_events_total 1\n"))
      let names = metrics.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }
      #expect(Set(names).count == names.count)
      let document = try await rig.send(.get, "/openapi.json").json
      let paths = try #require(document["paths"] as? [String: [String: Any]])
      for route in Route.allCases where route.isDescribed {
        #expect(paths[route.pattern]?[route.method.rawValue.lowercased()] != nil, "\(route)")
      }
      #expect(paths["/"] == nil)
      #expect(try await rig.send(.get, "/readyz").text == #"{"status":"ready","why":null}"# + "\n")
    }
  }
}
