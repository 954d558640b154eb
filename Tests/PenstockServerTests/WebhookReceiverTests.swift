import PenstockSinks
import Testing

@testable import PenstockServer

/// The receiver over HTTP, asked by hand.
struct WebhookReceiverTests {
  @Test(
    "POST and PUT on any path are taken, GET with the parameter is, other methods are not",
    arguments: [
      ("POST", "/a/b?c", "[{}]", 200), ("PUT", "", "{}", 200), ("DELETE", "", "", 405),
      ("GET", "/?event=%7B%7D", "", 200), ("GET", "/?other=%7B%7D", "", 400), ("GET", "/", "", 400),
    ])
  func methods(method: String, path: String, body: String, status: Int) async throws {
    try await withReceiver { url, send in
      let answer = try await send(method, url + path, "1", body)
      #expect(answer.status == status)
    }
  }

  @Test("an answer says what was wrong")
  func explains() async throws {
    try await withReceiver { url, send in
      let answer = try await send("POST", url, "1", #"[{"a":1},{"b"]"#)
      #expect(answer.status == 400)
      #expect(String(decoding: answer.body, as: UTF8.self).contains("record 1"))
    }
  }

  @Test("two receivers cannot have one port")
  func portTaken() async throws {
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
