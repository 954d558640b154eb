import PenstockDelivery
import Testing

@testable import PenstockSinks

/// A connection goes to the address that was checked, and to no other.
struct PinnedHostsTests {
  private func send(
    _ transport: AsyncHTTPTransport, _ url: String, timeout: Duration = .seconds(120)
  ) async -> Result<TransportResponse, TransportError> {
    do throws(TransportError) {
      return .success(
        try await transport.send(TransportRequest(method: "GET", url: url, headers: [], timeout: timeout)))
    } catch {
      return .failure(error)
    }
  }

  private func transport(_ names: any HostResolver, _ policy: AddressPolicy) throws -> AsyncHTTPTransport {
    var settings = TransportSettings()
    settings.addresses = policy
    return try AsyncHTTPTransport(settings, resolver: names)
  }

  private func kind(_ result: Result<TransportResponse, TransportError>) -> TransportError.Kind? {
    if case .failure(let error) = result { error.kind } else { nil }
  }

  private static let answer = Array("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".utf8)

  @Test("a name that leads to this machine is not connected to")
  func forbidden() async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    let transport = try transport(NamedHosts(["127.0.0.1", "10.0.0.1"]), .publicOnly)
    let result = await send(transport, "http://rebound.test:\(server.port)/")
    await transport.close()
    #expect(kind(result) == .forbiddenAddress, "\(result)")
    #expect(server.connections == 0)
  }

  @Test("a name that changes its mind after the check gains nothing")
  func rebinding() async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    // What is checked first is where it goes, and after `lifetime` the new answer is checked.
    let names = NamedHosts(["127.0.0.1"], ["169.254.169.254"])
    let hosts = PinnedHosts(policy: .publicAndPrivate, resolver: names) { _, _ in
      PooledClient(TransportSettings(), tls: nil)
    }
    let now = ContinuousClock.now
    let loopback = try #require(IPAddress("127.0.0.1"))
    #expect(hosts.freshAddresses(of: "a.test", now: now) == nil)
    #expect(try await hosts.lookUp("a.test", now: now) == [loopback])
    #expect(hosts.freshAddresses(of: "a.test", now: now + .seconds(29)) == [loopback])
    #expect(hosts.freshAddresses(of: "a.test", now: now + .seconds(30)) == nil)
    await #expect(throws: TransportError.self) { try await hosts.lookUp("a.test", now: now + .seconds(30)) }
    for client in hosts.removeAll() { await client.close() }
  }

  @Test("a client keeps its connections while its address is among the answers, and only then")
  func clientStays() async throws {
    let names = NamedHosts(["10.0.0.1", "10.0.0.2"], ["10.0.0.3", "10.0.0.2"], ["10.0.0.3"])
    let hosts = PinnedHosts(policy: .publicAndPrivate, resolver: names) { _, _ in
      PooledClient(TransportSettings(), tls: nil)
    }
    let second = try #require(IPAddress("10.0.0.2"))
    _ = try await hosts.lookUp("a.test", now: .now)
    let client = hosts.client("a.test", second)
    #expect(hosts.client("a.test", second) === client)
    #expect(try await hosts.lookUp("a.test", now: .now).first == second)
    #expect(hosts.client("a.test", second) === client)
    #expect(try await hosts.lookUp("a.test", now: .now).map(\.description) == ["10.0.0.3"])
    #expect(hosts.client("a.test", second) !== client)
    for client in hosts.removeAll() { await client.close() }
  }

  @Test("the addresses of a name are tried in turn while nobody listens, and the one that works is kept")
  func inTurn() async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    // Everything in 127/8 is this machine; the server listens on one address of it.
    let names = NamedHosts(["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    let transport = try transport(names, .publicAndPrivate)
    let url = "http://many.test:\(server.port)/"
    for _ in 0..<2 {
      let answer = try await send(transport, url).get()
      #expect(answer.status == 204)
      #expect(answer.connection?.address == "127.0.0.1")
    }
    await transport.close()
    #expect(names.questions == ["many.test"])
    #expect(server.connections == 2)
  }

  @Test("addresses with an objection are left out of the turn")
  func leftOut() async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    let allowed = try #require(IPNetwork("127.0.0.1"))
    let transport = try transport(NamedHosts(["10.0.0.1", "127.0.0.1"]), AddressPolicy(allowed: [allowed]))
    let answer = try await send(transport, "http://mixed.test:\(server.port)/").get()
    await transport.close()
    #expect(answer.connection?.address == "127.0.0.1")
  }

  @Test("a name that cannot be reached is asked for again")
  func askedAgain() async throws {
    let names = NamedHosts(["127.0.0.1"])
    let server = try CannedServer(reply: Self.answer)
    let port = server.port
    server.stop()
    let transport = try transport(names, .publicAndPrivate)
    for _ in 0..<2 { #expect(kind(await send(transport, "http://down.test:\(port)/")) == .connectionRefused) }
    await transport.close()
    #expect(names.questions.count == 2)
  }

  @Test("a name server that is out stops no delivery to an address that was right")
  func nameServerOut() async throws {
    let hosts = PinnedHosts(policy: .publicOnly, resolver: NamedHosts(["8.8.8.8"], [])) { _, _ in
      PooledClient(TransportSettings(), tls: nil)
    }
    let found = try await hosts.lookUp("a.test", now: .now)
    #expect(try await hosts.lookUp("a.test", now: .now) == found)
  }

  @Test("a name that is not known, and a name server that is silent, end in time")
  func noAddress() async throws {
    let unknown = try transport(NamedHosts([]), .publicOnly)
    #expect(kind(await send(unknown, "http://none.test/")) == .unknownHost)
    await unknown.close()
    let silent = try transport(SilentHosts(), .publicOnly)
    #expect(kind(await send(silent, "http://silent.test/", timeout: .milliseconds(200))) == .timeout)
    let task = Task { await send(silent, "http://silent.test/") }
    task.cancel()
    #expect(kind(await task.value) == .cancelled)
    await silent.close()
  }

  @Test(
    "every spelling of an address reaches it where that is allowed",
    arguments: ["127.0.0.1", "0x7f.1", "2130706433", "localhost"])
  func spellings(host: String) async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    let transport = try transport(SystemHostResolver(), .publicAndPrivate)
    let answer = try await send(transport, "http://\(host):\(server.port)/").get()
    await transport.close()
    #expect(answer.status == 204)
    #expect(answer.connection?.address == "127.0.0.1")
    #expect(answer.connection?.httpVersion == "HTTP/1.1")
    #expect(answer.connection?.tlsVersion == nil)
  }

  @Test(
    "every spelling of an address is refused where it is not",
    arguments: ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "localhost."])
  func forbiddenSpellings(host: String) async throws {
    let transport = try transport(SystemHostResolver(), .publicOnly)
    let result = await send(transport, "http://\(host):9/")
    await transport.close()
    #expect(kind(result) == .forbiddenAddress || (host == "localhost." && kind(result) == .unknownHost), "\(result)")
  }

  @Test("a client that would connect elsewhere ends the connection before a request is sent")
  func elsewhere() async throws {
    let server = try CannedServer(reply: Self.answer)
    defer { server.stop() }
    // The pin's name is not the URL's, so the client goes where the system says.
    let address = try #require(IPAddress("127.0.0.2"))
    let client = PooledClient(TransportSettings(), tls: nil, pin: (host: "LOCALHOST", address: address))
    let request = TransportRequest(
      method: "GET", url: "http://localhost:\(server.port)/", headers: [], timeout: .seconds(120))
    let error = await #expect(throws: TransportError.self) {
      try await AsyncHTTPTransport.send(request, over: client, until: .now + .seconds(120), address: address)
    }
    await client.close()
    #expect(error?.kind == .forbiddenAddress, "\(error.debugDescription)")
  }
}
