import AsyncHTTPClient
import NIOCore
import NIOSSL
import Synchronization

/// A client with its pool of connections, for one address if it is pinned to one.
///
/// It shuts itself down when the last request that uses it has ended.
final class PooledClient: Sendable {
  let client: HTTPClient
  private let newest: Newest
  private let isClosed = Atomic(false)

  /// - Parameter pin: where `host` is connected to, whatever its name resolves to.
  init(_ settings: TransportSettings, tls: TLSConfiguration?, pin: (host: String, address: IPAddress)? = nil) {
    var configuration = HTTPClient.Configuration(
      tlsConfiguration: tls, redirectConfiguration: .disallow,
      timeout: .init(connect: .nanoseconds(settings.connectTimeout.wholeNanoseconds)))
    // Retrying is the delivery's work; here it would only hide for how long nobody has been listening.
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.connectionPool.idleTimeout = .nanoseconds(settings.idleTimeout.wholeNanoseconds)
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.maxConnections
    configuration.httpVersion = settings.versions == .http1 ? .http1Only : .automatic
    if let pin { configuration.dnsOverride = [pin.host: pin.address.description] }
    let newest = Newest()
    // Called with every new connection, before a request is sent over it.
    let look: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
      channel.eventLoop.submit { try Self.look(at: channel, pin, newest) }.flatMapErrorThrowing { error in
        channel.close(promise: nil)
        throw error
      }
    }
    configuration.http1_1ConnectionDebugInitializer = look
    configuration.http2ConnectionDebugInitializer = look
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    self.newest = newest
  }

  deinit {
    // A client that is dropped without a shutdown stops the process in debug builds.
    guard !isClosed.load(ordering: .acquiring) else { return }
    client.shutdown { _ in }
  }

  /// The version of TLS that the newest connection speaks, such as `1.3`; nil without TLS.
  var tlsVersion: String? { newest.tlsVersion.withLock { $0 } }

  func close() async {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    // A failure to close cleanly means a request was cut off, and its sender has been told.
    try? await client.shutdown()
  }

  private final class Newest: Sendable {
    let tlsVersion = Mutex<String?>(nil)
  }

  /// Throws if the connection does not lead where it must. The pin is a setting of the client's, keyed by a name, and a name
  /// that it spells differently from us would go where it likes without a word.
  private static func look(at channel: any Channel, _ pin: (host: String, address: IPAddress)?, _ newest: Newest) throws
  {
    if let pin, channel.remoteAddress?.ipAddress.flatMap({ IPAddress($0) })?.unmapped != pin.address.unmapped {
      throw TransportError(.forbiddenAddress, "connected to another address than the one that was checked")
    }
    let tls = channel.pipeline.syncOperations
    guard let version = try? tls.nioSSL_tlsVersion() else {
      newest.tlsVersion.withLock { $0 = nil }
      return
    }
    newest.tlsVersion.withLock { $0 = words(for: version) }
    guard let pin, SystemHostResolver.literal(pin.host) == nil else { return }
    let names = try tls.nioSSL_peerCertificate().map(dnsNames) ?? []
    guard CertificateNames.cover(pin.host, names) else { throw TransportError(wrongNameFor: pin.host) }
  }

  private static func dnsNames(_ certificate: NIOSSLCertificate) -> [String] {
    certificate._subjectAlternativeNames().filter { $0.nameType == .dnsName }
      .map { String(decoding: $0.contents, as: UTF8.self) }
  }

  private static func words(for version: TLSVersion) -> String {
    switch version {
    case .tlsv1: "1.0"
    case .tlsv11: "1.1"
    case .tlsv12: "1.2"
    case .tlsv13: "1.3"
    }
  }
}
