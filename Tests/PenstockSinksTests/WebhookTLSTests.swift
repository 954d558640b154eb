import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

/// Webhooks to a server written by others, over real TLS.
@Suite(
  .enabled(
    if: NginxServer.current != nil,
    "needs PENSTOCK_NGINX_MAIN and the other variables that scripts/servers.py start nginx prints"))
struct WebhookTLSTests {
  private let server: NginxServer
  private let batch = makeBatch((0..<5).map { #"{"n":\#($0),"text":"é"}"# }, first: 3)

  init() throws { server = try #require(NginxServer.current) }

  private func deliver(
    _ port: Int, _ path: String = "/verify", _ batch: Batch? = nil,
    _ change: (inout WebhookConfiguration) -> Void = { _ in }
  ) async throws -> DeliveryOutcome {
    let sink = try makeSink(port, path, change)
    let outcome = await sink.deliver(try makeDelivery(sink, batch ?? self.batch))
    await sink.close()
    return outcome
  }

  private func makeSink(
    _ port: Int, _ path: String = "/verify", _ change: (inout WebhookConfiguration) -> Void = { _ in }
  ) throws -> WebhookSink {
    var configuration = WebhookConfiguration(url: "https://localhost:\(port)\(path)")
    configuration.secrets = [server.secret]
    (configuration.addresses, configuration.tls.authorities) = (.publicAndPrivate, server.tls + "/ca.pem")
    // What is tested is no speed: on a busy machine, a test of seconds takes half a minute.
    (configuration.timeout, configuration.connectTimeout) = (.seconds(120), .seconds(120))
    change(&configuration)
    return try WebhookSink(configuration)
  }

  private func report(
    _ port: Int, _ path: String = "/verify", _ change: (inout WebhookConfiguration) -> Void = { _ in }
  ) async throws -> WebhookTestReport {
    let sink = try makeSink(port, path, change)
    let report = await sink.test()
    await sink.close()
    return report
  }

  @Test func `a store with a certificate of a private authority is believed only where that is named`() async throws {
    func outcome(_ authorities: String?) async throws -> DeliveryOutcome {
      let sink = try S3Sink(
        .acme {
          ($0.endpoint, $0.tls.authorities) = ("https://localhost:\(server.main)", authorities)
          ($0.timeout, $0.layout.manifest) = (.seconds(120), false)
        })
      let outcome = await sink.deliver(try makeDelivery(sink, batch))
      await sink.close()
      return outcome
    }
    #expect(try await outcome(server.tls + "/ca.pem").words.contains("the store answered"))
    for other in [nil, server.tls + "/other-ca.pem"] {
      #expect(try await outcome(other).words.contains("the TLS connection failed"))
    }
  }

  // MARK: Signatures, judged by the official Standard Webhooks library

  @Test(arguments: WebhookConfiguration.Method.allCases)
  func `the official library believes what is sent`(method: WebhookConfiguration.Method) async throws {
    let report = try await report(server.main) { $0.method = method }
    #expect(report.outcome.isDelivered, "\(report)")
    #expect(report.excerpt.contains(#""verified": true"#), "\(report)")
    #expect(report.excerpt.contains(#""test": "true""#), "\(report)")
    #expect(report.excerpt.contains(#""range": null"#), "\(report)")
    let outcome = try await deliver(server.main) {
      $0.secrets.insert(Secret("whsec_" + String(repeating: "A", count: 32)), at: 0)
    }
    #expect(outcome.isDelivered, "during a rotation: \(outcome)")
  }

  @Test
  func `the official library does not believe another secret, or a body of which one byte was changed`() async throws {
    let other = Secret("whsec_" + String(repeating: "A", count: 32))
    let wrong = try await deliver(server.main) { $0.secrets = [other] }
    #expect(wrong.isRefused && wrong.words.contains("No matching signature"), "\(wrong)")
    let unsigned = try await deliver(server.main) { $0.secrets = [] }
    #expect(unsigned.isRefused && unsigned.words.contains("Missing required headers"), "\(unsigned)")

    var configuration = WebhookConfiguration(url: "https://localhost:\(server.main)/verify")
    configuration.secrets = [server.secret]
    var settings = TransportSettings()
    settings.tls.authorities = server.tls + "/ca.pem"
    let tampering = Tampering(inner: try AsyncHTTPTransport(settings))
    let sink = try WebhookSink(configuration, transport: tampering)
    let outcome = await sink.deliver(try makeDelivery(sink, batch))
    await tampering.close()
    #expect(outcome.isRefused && outcome.words.contains("No matching signature"), "\(outcome)")
  }

  // MARK: Certificates

  @Test func `an authority that is not named is not believed, and the message says what to do`() async throws {
    for authorities in [nil, server.tls + "/other-ca.pem"] {
      let outcome = try await deliver(server.main) { $0.tls.authorities = authorities }
      #expect(outcome.isRetry && outcome.words.contains("certificate of localhost is not trusted"), "\(outcome)")
      #expect(outcome.words.contains("tls.ca"), "\(outcome)")
    }
  }

  @Test func `an authority counts in addition to the system's when that is said`() async throws {
    #expect(try await deliver(server.main) { $0.tls.alsoSystemAuthorities = true }.isDelivered)
  }

  @Test func `a certificate for another name, and one expired, are not believed`() async throws {
    let other = try await deliver(server.other)
    #expect(other.isRetry && other.words.contains("does not contain the name localhost"), "\(other)")
    let expired = try await deliver(server.expired)
    #expect(expired.isRetry && expired.words.contains("expired"), "\(expired)")
  }

  @Test func `a certificate is checked for the name, wherever the name leads`() async throws {
    for (name, port, isRight) in [
      ("receiver.test", server.main, true), ("elsewhere.test", server.other, true),
      ("receiver.test", server.other, false), ("stranger.test", server.main, false),
    ] {
      let names = NamedHosts(["127.0.0.1"])
      var settings = TransportSettings()
      (settings.tls.authorities, settings.addresses) = (server.tls + "/ca.pem", .publicAndPrivate)
      let transport = try AsyncHTTPTransport(settings, resolver: names)
      let request = TransportRequest(
        method: "GET", url: "https://\(name):\(port)/ok", headers: [], timeout: .seconds(120))
      do throws(TransportError) {
        let answer = try await transport.send(request)
        #expect(isRight, "\(name)")
        // The server's view: the name it was asked for.
        #expect(String(decoding: answer.body, as: UTF8.self) == "HTTP/2.0 TLSv1.3 \(name)")
        #expect(answer.connection?.address == "127.0.0.1")
      } catch {
        let namesIt = error.detail.contains("does not contain the name \(name)")
        #expect(!isRight && error.kind == .tls && namesIt, "\(error)")
      }
      #expect(names.questions == [name])
      await transport.close()
    }
  }

  @Test func `a client certificate is shown to who demands one`() async throws {
    let outcome = try await deliver(server.mutual) {
      ($0.tls.certificate, $0.tls.key) = (server.tls + "/client.pem", server.tls + "/client.key")
    }
    #expect(outcome.isDelivered, "\(outcome)")
    let without = try await deliver(server.mutual)
    #expect(without.isRefused && without.words.contains("No required SSL certificate"), "\(without)")
  }

  @Test func `files that cannot be used are named when the sink is made`() throws {
    let tls = server.tls
    func open(_ change: (inout TLSSettings) -> Void) throws { _ = try makeSink(server.main) { change(&$0.tls) } }
    expectSinkError(containing: "does not belong to the certificate") {
      try open { ($0.certificate, $0.key) = (tls + "/client.pem", tls + "/server.key") }
    }
    expectSinkError(containing: "need each other") { try open { $0.certificate = tls + "/client.pem" } }
    expectSinkError(containing: "No such file") { try open { $0.authorities = tls + "/none.pem" } }
    expectSinkError(containing: "has no certificate") { try open { $0.authorities = tls + "/ca.key" } }
    expectSinkError(containing: "has no private key") {
      try open { ($0.certificate, $0.key) = (tls + "/client.pem", tls + "/client.pem") }
    }
  }

  // MARK: Connections

  @Test func `HTTP/2 and TLS 1.3 are used where they are offered, HTTP/1.1 where it is asked for`() async throws {
    let automatic = try await report(server.main)
    #expect(automatic.connection?.httpVersion == "HTTP/2.0", "\(automatic)")
    #expect(automatic.connection?.tlsVersion == "1.3")
    #expect(["127.0.0.1", "::1"].contains(automatic.connection?.address))
    #expect(automatic.status == 200)
    let old = try await report(server.http1)
    #expect(old.connection?.httpVersion == "HTTP/1.1" && old.connection?.tlsVersion == "1.2", "\(old)")
    let forced = try await report(server.main, "/ok") { $0.httpVersions = .http1 }
    #expect(forced.connection?.httpVersion == "HTTP/1.1", "\(forced)")
    #expect(forced.excerpt.hasPrefix("HTTP/1.1 TLSv1.3"), "\(forced)")
  }

  @Test(arguments: TransportSettings.Versions.allCases)
  func `eight mebibytes arrive as they are, over both versions`(version: TransportSettings.Versions) async throws {
    let record = #"{"text":"\#(String(repeating: "0123456789abcdef", count: 1 << 19))"}"#
    let sink = try makeSink(server.main) { $0.httpVersions = version }
    let delivery = try makeDelivery(sink, makeBatch([record]))
    #expect(delivery.body.bytes.count > 8 << 20)
    let outcome = await sink.deliver(delivery)
    await sink.close()
    // The library has verified the signature over all of it.
    #expect(outcome.isDelivered, "\(outcome)")
  }

  @Test(arguments: TransportSettings.Versions.allCases)
  func `a body that is too long is rejected while it is being sent`(version: TransportSettings.Versions) async throws {
    let record = #"{"text":"\#(String(repeating: "x", count: 8 << 20))"}"#
    let outcome = try await deliver(server.main, "/short", makeBatch([record])) { $0.httpVersions = version }
    #expect(outcome.isRejected && outcome.words.contains("413"), "\(outcome)")
  }

  // MARK: What servers do

  @Test func `a redirect is refused, 410 disables, 429 says when`() async throws {
    let moved = try await deliver(server.main, "/moved")
    #expect(moved.isRefused && moved.words.contains("redirects are not followed"), "\(moved)")
    #expect(try await deliver(server.main, "/gone").isDisabled)
    let busy = try await deliver(server.main, "/busy")
    #expect(busy == .retry(reason: "the receiver answered 429 Too Many Requests: slower, please", after: .seconds(17)))
  }

  @Test(arguments: TransportSettings.Versions.allCases)
  func `no answer in time, or a connection that ends without one, is tried again`(
    version: TransportSettings.Versions
  ) async throws {
    let slow = try await deliver(server.main, "/slow") { ($0.httpVersions, $0.timeout) = (version, .seconds(2)) }
    #expect(slow.isRetry && slow.words.contains("timed out"), "\(slow)")
    let none = try await deliver(server.main, "/nothing") { $0.httpVersions = version }
    #expect(none.isRetry, "\(none)")
  }

  @Test(.timeLimit(.minutes(1)))
  func `an answer that breaks off, and one that never ends, count by their status`() async throws {
    #expect(try await deliver(server.main, "/half").isDelivered)
    let drip = try await deliver(server.main, "/drip") { $0.timeout = .seconds(2) }
    #expect(drip.isDelivered, "\(drip)")
  }
}

/// Changes the last byte of every body on its way.
private struct Tampering: HTTPTransport {
  let inner: AsyncHTTPTransport

  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    var request = request
    request.body[request.body.count - 1] ^= 1
    return try await inner.send(request)
  }

  func close() async { await inner.close() }
}
