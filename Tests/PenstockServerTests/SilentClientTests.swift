import HTTPTypes
import NIOCore
import NIOEmbedded
import Testing

@testable import PenstockServer

/// Clients that hold a connection and do nothing, or hardly anything.
@Suite("Clients that hold a connection", .timeLimit(.minutes(2))) struct SilentClientTests {
  @TemporaryDirectory private var directory: String

  static func connected(_ handlers: any ChannelHandler...) throws -> EmbeddedChannel {
    let channel = EmbeddedChannel()
    for handler in handlers { try channel.pipeline.syncOperations.addHandler(handler) }
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    return channel
  }

  @Test func `a connection without a request is closed, whatever is said on it`() throws {
    let channel = try Self.connected(IdleTimeoutHandler(after: .seconds(30)))
    channel.embeddedEventLoop.advanceTime(by: .seconds(29))
    #expect(channel.isActive)
    // Not what is renewed by each byte of a handshake.
    try channel.writeInbound(ByteBuffer(string: "half of a greeting"))
    channel.embeddedEventLoop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test
  func `requests keep it open, and when the last one has ended it has a little longer than before the first`() throws {
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

  @Test func `where HTTP/1.1 was agreed on, Hummingbird's own timer counts`() throws {
    let channel = try Self.connected(IdleTimeoutHandler(after: .seconds(30)), WriteTimeoutHandler())
    channel.embeddedEventLoop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
    _ = try channel.finish()
  }

  @Test func `who does not take what is sent is cut off after a minute, and who takes it is not`() throws {
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

  @Test(arguments: [false, true])
  func `who connects and says nothing is cut off after idleTimeout, before TLS as well`(isSecure: Bool) async throws {
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

  @Test(
    arguments: ["/healthz", "/", "/console/console.js", "/v1/me", "/v1/status", "/v1/events", "/metrics", "/nothing"],
    ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
  func `a body that was not asked for ends the connection with its answer, and is not waited for`(
    path: String, header: String
  ) async throws {
    try await ServiceRig.run { rig in
      let connection = try RawConnection(port: rig.line.port)
      try connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(header)\r\n\r\n")
      let answer = try await connection.readToEnd().lowercased()
      #expect(answer.hasPrefix("http/1.1 ") && answer.contains("\r\nconnection: close\r\n"), "\(answer)")
      // Without one it stays open.
      #expect(try await rig.send(.get, path).headers[.connection] == nil)
    }
  }

  @Test func `a small body must come in time as well`() async throws {
    try await ServiceRig.run({ $0.limits.bodyTimeout = .nanoseconds(1) }) { rig in
      let answer = try await rig.send(.post, "/v1/destinations/shop/pause", Array("{}".utf8))
      #expect(answer.status == 408 && answer.code == "too_slow", "\(answer.text)")
    }
  }
}

@Suite("Open files") struct OpenFileLimitTests {
  @Test func `connections leave descriptors for the log, its cursors and destinations`() {
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

  @Test func `a service takes no more connections than the process may have open`() async throws {
    let limit = try #require(OpenFileLimit.current)
    try await ServiceRig.run({ $0.limits.maxConnections = .max }) { rig in
      let settings = try await rig.send(.get, "/v1/settings").text
      let taken = OpenFileLimit.connections(wanted: .max, of: limit, destinations: 0)
      #expect(settings.contains(#"{"key":"limits.maxConnections","value":"\#(taken)"}"#), "\(settings)")
      #expect(settings.contains(#""limits.drainTimeout""#))
    }
  }
}

@Suite("Descriptors are counted before the start") struct OpenFileNeedTests {
  private static func need(_ destinations: Int, inFlight: Int = 1, letters: Bool = true) -> OpenFileNeed {
    OpenFileNeed(
      eventLoops: 2,
      destinations: Array(repeating: .init(maxInFlight: inFlight, hasDeadLetters: letters), count: destinations))
  }

  @Test func `batches in flight, places for dead letters and event loops count, up to the bounds of the process`() {
    let one = Self.need(1).count
    #expect(Self.need(2).count - one == Self.need(3).count - Self.need(2).count)
    #expect(Self.need(1, inFlight: 4).count - one == 6)
    #expect(one - Self.need(1, letters: false).count == 8)
    var more = Self.need(1)
    more.eventLoops = 4
    #expect(more.count - one == 14)
    more = Self.need(1)
    more.isService = true
    #expect(more.count > one)
    #expect(Self.need(10_000).count == Self.need(1_000).count && Self.need(10_000).count < 1_000)
  }

  @Test func `what does not fit is refused with the number that would do, and what fits is not`() throws {
    for (destinations, limit) in [(60, 128), (600, 512)] {
      let need = Self.need(destinations)
      let said = try #require(need.complaint(limit: limit))
      #expect(said.message.contains("\(destinations) destinations") && said.message.contains("\(limit)"))
      #expect(said.advice.contains("LimitNOFILE=\(need.count)"))
      #expect(need.complaint(limit: need.count - 1) != nil)
      #expect(need.complaint(limit: need.count) == nil)
    }
    // The usual limit is enough for any number, and an unknown one is not judged.
    #expect(Self.need(10_000).complaint(limit: 1024) == nil)
    #expect(Self.need(600).complaint(limit: nil) == nil)
    #expect(Self.need(1).complaint(limit: 8)?.message.hasPrefix("1 destination needs") == true)
  }

  @Test func `destinations get the connections that the limit leaves, and never fewer than they need`() {
    let need = Self.need(10_000)
    #expect(need.connections(of: need.count) == OpenFileNeed.leastConnections)
    #expect(need.connections(of: need.count + 700) == OpenFileNeed.leastConnections + 700)
    #expect(need.connections(of: 3) == OpenFileNeed.leastConnections && need.connections(of: nil) == .max)
    #expect(Self.need(1).connections(of: 3) == 2)
  }

  @Test func `connections leave what destinations need, also where the limit is low`() {
    #expect(OpenFileLimit.connections(wanted: 500, of: 1000, destinations: 60, needed: 900) == 100)
    #expect(OpenFileLimit.connections(wanted: 500, of: 1000, destinations: 1, needed: 20) == 500)
    #expect(OpenFileLimit.connections(wanted: 500, of: 100, destinations: 60, needed: 900) == 1)
  }
}
