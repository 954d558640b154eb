import HTTPTypes
import NIOCore
import NIOEmbedded
import Testing

@testable import PenstockServer

/// Clients that hold a connection and do nothing, or hardly anything.
@Suite("Clients that hold a connection", .timeLimit(.minutes(2)))
struct SilentClientTests {
  static func connected(_ handlers: any ChannelHandler...) throws -> EmbeddedChannel {
    let channel = EmbeddedChannel()
    for handler in handlers { try channel.pipeline.syncOperations.addHandler(handler) }
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    return channel
  }

  @Test("a connection without a request is closed, whatever is said on it")
  func noRequest() throws {
    let channel = try Self.connected(IdleTimeoutHandler(after: .seconds(30)))
    channel.embeddedEventLoop.advanceTime(by: .seconds(29))
    #expect(channel.isActive)
    // Not what is renewed by each byte of a handshake.
    try channel.writeInbound(ByteBuffer(string: "half of a greeting"))
    channel.embeddedEventLoop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test("requests keep it open, and when the last one has ended it has a little longer than before the first")
  func requests() throws {
    let cutOff = IdleTimeoutHandler(after: .seconds(30))
    let channel = try Self.connected(cutOff)
    cutOff.requestBegan()
    cutOff.requestBegan()
    channel.embeddedEventLoop.advanceTime(by: .hours(1))
    cutOff.requestEnded()
    channel.embeddedEventLoop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
    cutOff.requestEnded()
    channel.embeddedEventLoop.advanceTime(by: .seconds(30))
    #expect(channel.isActive)
    cutOff.requestBegan()
    cutOff.requestEnded()
    channel.embeddedEventLoop.advanceTime(by: .seconds(34))
    #expect(channel.isActive)
    channel.embeddedEventLoop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test("where HTTP/1.1 was agreed on, Hummingbird's own timer goes on")
  func agreed() throws {
    let channel = try Self.connected(IdleTimeoutHandler(after: .seconds(30)), WriteTimeoutHandler())
    channel.embeddedEventLoop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
    _ = try channel.finish()
  }

  @Test("who does not take what is sent is cut off after a minute, and who takes it is not")
  func slowReader() throws {
    func change(_ channel: EmbeddedChannel, isWritable: Bool) {
      channel.isWritable = isWritable
      channel.pipeline.fireChannelWritabilityChanged()
    }
    let channel = try Self.connected(WriteTimeoutHandler())
    change(channel, isWritable: false)
    channel.embeddedEventLoop.advanceTime(by: .seconds(59))
    change(channel, isWritable: true)
    channel.embeddedEventLoop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
    change(channel, isWritable: false)
    channel.embeddedEventLoop.advanceTime(by: .seconds(59))
    #expect(channel.isActive)
    channel.embeddedEventLoop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test("who connects and says nothing is cut off after idleTimeout, before TLS as well", arguments: [false, true])
  func silence(isSecure: Bool) async throws {
    try await withTemporaryDirectory { directory in
      let files = try UselessCertificate.write(to: directory)
      try await ServiceRig.run(
        in: directory,
        { configuration in
          configuration.limits.idleTimeout = .milliseconds(100)
          if isSecure { configuration.tls = .init(certificateFile: files.certificate, keyFile: files.key) }
        }
      ) { rig in
        let connection = try RawConnection(port: rig.line.port)
        #expect(try await connection.readToEnd() == "")
      }
    }
  }

  @Test(
    "a body that nobody asked for ends the connection with its answer, and is not waited for",
    arguments: ["/healthz", "/", "/console/console.js", "/v1/me", "/v1/status", "/v1/events", "/metrics", "/nothing"],
    ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
  func unreadBody(path: String, header: String) async throws {
    try await withTemporaryDirectory { directory in
      try await ServiceRig.run(in: directory) { rig in
        let connection = try RawConnection(port: rig.line.port)
        try connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(header)\r\n\r\n")
        let answer = try await connection.readToEnd().lowercased()
        #expect(answer.hasPrefix("http/1.1 ") && answer.contains("\r\nconnection: close\r\n"), "\(answer)")
        // Without one it stays open.
        let after = try await rig.send(.get, path)
        #expect(after.headers[.connection] == nil)
      }
    }
  }

  @Test("a small body must come in time as well")
  func slowSmallBody() async throws {
    try await withTemporaryDirectory { directory in
      try await ServiceRig.run(in: directory, { $0.limits.bodyTimeout = .nanoseconds(1) }) { rig in
        let answer = try await rig.send(.post, "/v1/destinations/shop/pause", Array("{}".utf8))
        #expect(answer.status == 408 && answer.code == "too_slow", "\(answer.text)")
      }
    }
  }
}

@Suite("Open files")
struct OpenFileLimitTests {
  @Test("connections leave descriptors for the log, its cursors and destinations")
  func connections() {
    func taken(_ limit: Int?, _ destinations: Int = 0) -> Int {
      OpenFileLimit.connections(wanted: 16_384, of: limit, destinations: destinations)
    }
    #expect(taken(nil) == 16_384)
    #expect(taken(.max) == 16_384)
    #expect(taken(65_536, 100) == 16_384)
    #expect(taken(16_640) == 16_384 && taken(16_639) == 16_383)
    #expect(taken(1024) == 768 && taken(1024, 2) == 640)
    // Never more than half for all the rest, and never none.
    #expect(taken(1024, 100) == 512 && taken(10) == 5 && taken(1) == 1 && taken(0) == 1)
    #expect(OpenFileLimit.connections(wanted: 5, of: 1024, destinations: 1) == 5)
  }

  @Test("a service takes no more connections than the process may have open")
  func service() async throws {
    let limit = try #require(OpenFileLimit.current)
    try await withTemporaryDirectory { directory in
      try await ServiceRig.run(in: directory, { $0.limits.maxConnections = .max }) { rig in
        let settings = try await rig.send(.get, "/v1/settings").text
        let taken = OpenFileLimit.connections(wanted: .max, of: limit, destinations: 0)
        #expect(settings.contains(#"{"key":"limits.maxConnections","value":"\#(taken)"}"#), "\(settings)")
        #expect(settings.contains(#""limits.drainTimeout""#))
      }
    }
  }
}
