import PenstockDelivery
import Testing

@testable import PenstockSinks

/// A connection goes to the address that was checked, and to no other.
final class PinnedHostsTests {
  private let server: CannedServer

  init() throws { server = try CannedServer(reply: Array("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".utf8)) }

  deinit { server.stop() }

  private func transport(_ names: any HostResolver, _ policy: AddressPolicy) throws -> AsyncHTTPTransport {
    var settings = TransportSettings()
    settings.addresses = policy
    return try AsyncHTTPTransport(settings, resolver: names)
  }

  @Test func `a name that leads to this machine is not connected to`() async throws {
    let transport = try transport(NamedHosts(["127.0.0.1", "10.0.0.1"]), .publicOnly)
    let result = await transport.only("http://rebound.test:\(server.port)/")
    #expect(result.kind == .forbiddenAddress, "\(result)")
    #expect(server.connections == 0)
  }

  @Test func `a name that changes its mind after the check gains nothing`() async throws {
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

  @Test func `a client keeps its connections while its address is among the answers, and only then`() async throws {
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

  @Test func `the addresses of a name are tried in turn, and the one that works is kept`() async throws {
    // Everything in 127/8 is this machine; the server listens on one address of it.
    let names = NamedHosts(["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    let transport = try transport(names, .publicAndPrivate)
    let url = "http://many.test:\(server.port)/"
    for _ in 0..<2 {
      let answer = try await transport.ask(url).get()
      #expect(answer.status == 204)
      #expect(answer.connection?.address == "127.0.0.1")
    }
    await transport.close()
    #expect(names.questions == ["many.test"])
    #expect(server.connections == 2)
  }

  @Test func `addresses with an objection are left out of the turn`() async throws {
    let allowed = try #require(IPNetwork("127.0.0.1"))
    let transport = try transport(NamedHosts(["10.0.0.1", "127.0.0.1"]), AddressPolicy(allowed: [allowed]))
    #expect(try await transport.only("http://mixed.test:\(server.port)/").get().connection?.address == "127.0.0.1")
  }

  @Test func `a name that cannot be reached is asked for again`() async throws {
    let names = NamedHosts(["127.0.0.1"])
    let port = server.port
    server.stop()
    let transport = try transport(names, .publicAndPrivate)
    for _ in 0..<2 { #expect(await transport.ask("http://down.test:\(port)/").kind == .connectionRefused) }
    await transport.close()
    #expect(names.questions.count == 2)
  }

  @Test func `a name server that is out stops no delivery to an address that was right`() async throws {
    let hosts = PinnedHosts(policy: .publicOnly, resolver: NamedHosts(["8.8.8.8"], [])) { _, _ in
      PooledClient(TransportSettings(), tls: nil)
    }
    let found = try await hosts.lookUp("a.test", now: .now)
    #expect(try await hosts.lookUp("a.test", now: .now) == found)
  }

  @Test func `a name that is not known, and a name server that is silent, end in time`() async throws {
    let unknown = try transport(NamedHosts([]), .publicOnly)
    #expect(await unknown.ask("http://none.test/").kind == .unknownHost)
    await unknown.close()
    let silent = try transport(SilentHosts(), .publicOnly)
    #expect(await silent.ask("http://silent.test/", timeout: .milliseconds(200)).kind == .timeout)
    let task = Task { await silent.ask("http://silent.test/") }
    task.cancel()
    #expect(await task.value.kind == .cancelled)
    await silent.close()
  }

  @Test(arguments: ["127.0.0.1", "0x7f.1", "2130706433", "localhost"])
  func `every spelling of an address reaches it where that is allowed`(host: String) async throws {
    let transport = try transport(SystemHostResolver(), .publicAndPrivate)
    let answer = try await transport.only("http://\(host):\(server.port)/").get()
    #expect(answer.status == 204)
    #expect(answer.connection?.address == "127.0.0.1")
    #expect(answer.connection?.httpVersion == "HTTP/1.1")
    #expect(answer.connection?.tlsVersion == nil)
  }

  @Test(arguments: ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "localhost."])
  func `every spelling of an address is refused where it is not`(host: String) async throws {
    let transport = try transport(SystemHostResolver(), .publicOnly)
    let result = await transport.only("http://\(host):9/")
    #expect(result.kind == .forbiddenAddress || (host == "localhost." && result.kind == .unknownHost), "\(result)")
  }

  @Test func `a client that would connect elsewhere ends the connection before a request is sent`() async throws {
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
