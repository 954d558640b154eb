import PenstockEvents
import PenstockSinks
import Testing

@testable import PenstockServer

/// The receiver over HTTP, asked by hand.
struct WebhookReceiverTests {
  @Test(arguments: [
    ("POST", "/a/b?c", "[{}]", 200), ("PUT", "", "{}", 200), ("DELETE", "", "", 405),
    ("GET", "/?event=%7B%7D", "", 200), ("GET", "/?other=%7B%7D", "", 400), ("GET", "/", "", 400),
  ])
  func `POST and PUT on any path are taken, GET with the parameter is, other methods are not`(
    method: String, path: String, body: String, status: Int
  ) async throws {
    try await withReceiver { url, send async throws in
      #expect(try await send(method, url + path, "1", body).status == status)
    }
  }

  @Test func `an answer says what was wrong`() async throws {
    try await withReceiver { url, send in
      let answer = try await send("POST", url, "1", #"[{"a":1},{"b"]"#)
      #expect(answer.status == 400)
      #expect(String(decoding: answer.body, as: UTF8.self).contains("record 1"))
    }
  }

  @Test func `two receivers cannot have one port`() async throws {
    try await withReceiver { url, _ in
      var configuration = ReceiverConfiguration()
      configuration.port = try #require(url.split(separator: ":").last.flatMap { Int($0) })
      let second = try WebhookReceiver(configuration)
      await #expect(throws: (any Error).self) { try await second.run() }
    }
  }

  private typealias Send = (String, String, String, String) async throws -> TransportResponse

  private func withReceiver(_ body: (_ url: String, _ send: Send) async throws -> Void) async throws {
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    let receiver = try WebhookReceiver(ReceiverConfiguration()) { port in continuation.yield(port) }
    let running = Task {
      defer { continuation.finish() }
      try await receiver.run()
    }
    let transport = AsyncHTTPTransport()
    var iterator = ports.makeAsyncIterator()
    let port = try #require(await iterator.next(), "the receiver did not listen")
    try await body("http://127.0.0.1:\(port)") { method, url, id, body in
      try await transport.send(
        TransportRequest(
          method: method, url: url, headers: [(name: "webhook-id", value: id)], body: Array(body.utf8),
          timeout: .seconds(20)))
    }
    await transport.close()
    running.cancel()
    try await running.value
  }
}

struct ReceiverBodyTests {
  private func rows(_ body: String) throws -> String {
    String(decoding: try ReceiverBody.rows(of: Array(body.utf8)).bytes, as: UTF8.self)
  }

  @Test func `events come out byte for byte, without the white space around them`() throws {
    #expect(try rows(#"[{"a" : 1.0e5 ,"b":"é,]}\""}]"#) == "{\"a\" : 1.0e5 ,\"b\":\"é,]}\\\"\"}\n")
    #expect(try rows(" [ {} ,\n{\"x\":[1,[2]]} ] \n") == "{}\n{\"x\":[1,[2]]}\n")
    #expect(try rows("[]") == "")
    #expect(try rows("[{\n \"a b\": 1\r\n}, {\"x\": 2}]") == "{\"a b\":1}\n{\"x\": 2}\n", "an event is two rows")
    #expect(try rows("\n {\"a\": {\"b\": []}} ") == "{\"a\": {\"b\": []}}\n")
    #expect(try ReceiverBody.rows(of: Array("[1,2,3]".utf8)).count == 3)
  }

  @Test(arguments: ["", " ", "1", "\"x\"", "{", "[{}", "[{},]", "{}{}", "{},{}", "[{}] x", "null"])
  func `what is no JSON array and no object is refused`(body: String) {
    #expect(throws: EventError.self) { try rows(body) }
  }

  @Test(arguments: [
    ("event=%7B%7D", "{}"), ("a=1&event=x%20y+z%2B", "x y z+"), ("e%76ent=1", "1"), ("event=a=b", "a=b"),
    ("event=", ""), ("event", ""), ("event=1&event=2", "1"), ("event=%C3%A9", "é"),
  ])
  func `a query parameter is found and decoded`(query: String, value: String) {
    #expect(ReceiverBody.parameter("event", in: query).map { String(decoding: $0, as: UTF8.self) } == value)
  }

  @Test(arguments: ["", "x=1", "events=1", "event=%", "event=%4", "event=%GG"])
  func `a parameter that is missing or wrongly encoded is none`(query: String) {
    #expect(ReceiverBody.parameter("event", in: query) == nil)
  }
}
