import PenstockDelivery
import Synchronization
import Testing

@testable import PenstockSinks

struct AsyncHTTPTransportTests {
  private func send(
    to server: CannedServer, timeout: Duration = .seconds(20)
  ) async -> Result<TransportResponse, TransportError> {
    await AsyncHTTPTransport().only("http://127.0.0.1:\(server.port)/", body: [1, 2, 3], timeout: timeout)
  }

  @Test func `a redirect is handed back, not followed`() async throws {
    let server = try CannedServer(
      reply: Array("HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".utf8))
    defer { server.stop() }
    let response = try await send(to: server).get()
    #expect(response.status == 307)
    #expect(response.header("LOCATION") == "/elsewhere")
    #expect(server.connections == 1)
  }

  @Test func `no more than 64 KiB of an answer are read`() async throws {
    let length = 3_000_000
    let head = "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n"
    let server = try CannedServer(reply: Array(head.utf8) + [UInt8](repeating: 65, count: length))
    defer { server.stop() }
    let response = try await send(to: server).get()
    #expect(response.status == 200)
    #expect(response.body.count == TransportResponse.bodyLimit)
  }

  @Test func `a status whose body breaks off still counts`() async throws {
    let server = try CannedServer(reply: Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".utf8))
    defer { server.stop() }
    let response = try await send(to: server).get()
    #expect(response.status == 200)
    #expect(response.body.count <= 3)
  }

  /// Waits that a test lets pass: each says how long it was to be, and ends at once where `ends` says so.
  private final class Waits: Sendable {
    let asked = Mutex<[Duration]>([])
    let ends: @Sendable (Duration) -> Bool

    init(ends: @escaping @Sendable (Duration) -> Bool) { self.ends = ends }

    func transport() throws -> AsyncHTTPTransport {
      try AsyncHTTPTransport(TransportSettings(), resolver: SystemHostResolver()) { try await self.wait($0) }
    }

    func wait(_ time: Duration) async throws {
      asked.withLock { $0.append(time) }
      if ends(time) { return }
      // Until it is cancelled.
      try await Task.sleep(for: .seconds(3600))
    }
  }

  @Test(arguments: [200, 206, 500])
  func `a 2xx whose body never ends is delivered after a second, and every other status waits for its body`(
    status: Int
  ) async throws {
    let isSuccess = status < 300
    let head = "HTTP/1.1 \(status) Whatever\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    let server = try CannedServer(reply: Array(head.utf8), keepsOpen: true)
    defer { server.stop() }
    let waits = Waits { isSuccess ? $0 == .seconds(1) : $0 > .seconds(1) }
    let transport = try waits.transport()
    var request = TransportRequest(
      method: "POST", url: "http://127.0.0.1:\(server.port)/", headers: [], body: [1], timeout: .seconds(600))
    request.successBodyTime = WebhookRequest.successBodyTime
    #expect(try await transport.send(request).status == status)
    let asked = waits.asked.withLock { $0 }
    #expect(
      asked.count == 1 && (isSuccess ? asked == [.seconds(1)] : asked.allSatisfy { $0 > .seconds(60) }), "\(asked)")
    await transport.close()
  }

  @Test func `a webhook says so in its requests, and its delivery counts`() async throws {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"
    let server = try CannedServer(reply: Array(head.utf8), keepsOpen: true)
    defer { server.stop() }
    let waits = Waits { $0 == .seconds(1) }
    let transport = try waits.transport()
    var configuration = WebhookConfiguration(url: "http://127.0.0.1:\(server.port)/")
    configuration.timeout = .seconds(600)
    let report = await (try WebhookSink(configuration, transport: transport)).test()
    #expect(report.outcome == .delivered(receipt: "HTTP 200"), "\(report)")
    #expect(waits.asked.withLock { $0 } == [.seconds(1)])
    await transport.close()
  }

  @Test func `a port without a listener is a refused connection`() async throws {
    let server = try CannedServer(reply: nil)
    // Bound and listening once, so the port is ours to know; gone before the request.
    server.stop()
    let result = await send(to: server)
    #expect(result.kind == .connectionRefused || result.kind == .connectionLost, "\(result)")
  }

  @Test(
    arguments: [
      (nil, Duration.seconds(20), TransportError.Kind.connectionLost), ([], .milliseconds(200), .timeout),
    ] as [([UInt8]?, Duration, TransportError.Kind)])
  func `a connection that ends without an answer is a lost one; a server that never answers times out`(
    reply: [UInt8]?, timeout: Duration, kind: TransportError.Kind
  ) async throws {
    let server = try CannedServer(reply: reply)
    defer { server.stop() }
    let result = await send(to: server, timeout: timeout)
    #expect(result.kind == kind, "\(result)")
  }

  @Test func `a server without TLS gives no secure connection`() async throws {
    let server = try CannedServer(reply: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
    defer { server.stop() }
    // The plain answer comes after the first line of the handshake is read as a head that never ends, so the
    // handshake's own timeout may be what is seen.
    let result = await AsyncHTTPTransport(connectTimeout: .milliseconds(300))
      .only("https://127.0.0.1:\(server.port)/", timeout: .milliseconds(300))
    #expect([.tls, .timeout].contains(result.kind), "\(result)")
  }

  @Test func `a cancelled task's request ends as cancelled`() async throws {
    let server = try CannedServer(reply: [])
    defer { server.stop() }
    let task = Task { await send(to: server) }
    while server.connections == 0 { await Task.yield() }
    task.cancel()
    #expect(await task.value.kind == .cancelled)
  }

  @Test func `a transport may be dropped without being closed, and closed twice`() async throws {
    _ = AsyncHTTPTransport()
    let transport = AsyncHTTPTransport()
    await transport.close()
    await transport.close()
    #expect(await transport.ask("http://127.0.0.1:9/", timeout: .seconds(1)).kind != nil)
  }

  @Test func `a duration has its nanoseconds, and saturates`() {
    #expect(Duration.milliseconds(1500).wholeNanoseconds == 1_500_000_000)
    #expect(Duration.seconds(Int64.max / 2).wholeNanoseconds == .max)
    #expect(Duration.seconds(Int64.min / 2).wholeNanoseconds == .min)
  }
}
