import AsyncHTTPClient
import NIOCore
import NIOSSL
import Synchronization

/// An HTTP client with its connection pool, optionally pinned to one address. Shuts down after its last request, or
/// when no request has used it for its idle time.
final class PooledClient: Sendable {
  let client: HTTPClient
  let id: ConnectionLedger.ClientID
  private let budget: ConnectionBudget
  private let idleTime: TimeAmount
  private let newest: Newest
  private let isClosed = Atomic(false)
  /// Whether a timer looks whether it is idle.
  private let isWatched = Atomic(false)
  /// Requests since it was made.
  private let requests = Atomic(0)

  /// The budget keeps it, until it is retired or closed.
  ///
  /// - Parameter pin: The address for connections to `host`, instead of the resolved one.
  init(
    _ settings: TransportSettings, tls: TLSConfiguration?, pin: (host: String, address: IPAddress)? = nil,
    budget: ConnectionBudget = .shared
  ) {
    self.budget = budget
    id = budget.number()
    idleTime = .nanoseconds(settings.idleTimeout.wholeNanoseconds)
    var configuration = HTTPClient.Configuration(
      tlsConfiguration: tls, redirectConfiguration: .disallow,
      timeout: .init(connect: .nanoseconds(settings.connectTimeout.wholeNanoseconds)))
    // The delivery retries. Retries here would hide how long the server has been down.
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.connectionPool.idleTimeout = .nanoseconds(settings.idleTimeout.wholeNanoseconds)
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.maxConnections
    configuration.httpVersion = settings.versions == .http1 ? .http1Only : .automatic
    if let pin { configuration.dnsOverride = [pin.host: pin.address.description] }
    let newest = Newest()
    // Called for every new connection, before the first request.
    let inspect: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
      channel.eventLoop.submit { try Self.inspect(channel, pin, newest) }.flatMapErrorThrowing { error in
        channel.close(promise: nil)
        throw error
      }
    }
    configuration.http1_1ConnectionDebugInitializer = inspect
    configuration.http2ConnectionDebugInitializer = inspect
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    self.newest = newest
    budget.join(self)
  }

  deinit {
    // In debug builds, a client that is deinitialised without a shutdown stops the process.
    shutDown()
  }

  /// The TLS version of the newest connection, such as `1.3`; nil without TLS.
  var tlsVersion: String? { newest.tlsVersion.withLock { $0 } }

  /// False once it makes no more requests.
  var isMember: Bool { budget.isMember(id) }

  /// The same as ``take()``, without waiting: nil when the request would have to wait.
  func takeNow() -> ConnectionLedger.Answer? { budget.takeNow(id) }

  /// Waits until a request may use a connection. Nil when the task is cancelled first.
  func take() async -> ConnectionLedger.Answer? { await budget.take(id) }

  /// The request has ended.
  func giveBack() {
    let number = requests.add(1, ordering: .relaxed).newValue
    if budget.giveBack(id), !isWatched.exchange(true, ordering: .relaxed) { watch(since: number) }
  }

  /// Retires the client if no request ends, or is under way, for the idle time.
  private func watch(since number: Int) {
    client.eventLoopGroup.any().scheduleTask(in: idleTime) { [weak self] in
      guard let self else { return }
      let now = requests.load(ordering: .relaxed)
      if now != number { return watch(since: now) }
      isWatched.store(false, ordering: .relaxed)
      budget.retire(id, onlyIfIdle: true)
    }
  }

  /// Cuts off the requests that are under way. There are none where the budget does it.
  func shutDown() {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    client.shutdown { _ in }
  }

  /// Makes no more requests, and closes after the present ones.
  func retire() { budget.retire(id) }

  func close() async {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    budget.retire(id)
    // An error here means that a request was cut off; its caller has received that error.
    try? await client.shutdown()
  }

  private final class Newest: Sendable {
    let tlsVersion = Mutex<String?>(nil)
  }

  /// Throws unless the connection goes to the pinned address. The client stores the pin by host name. If it spelled a
  /// name differently, it would ignore the pin silently.
  private static func inspect(
    _ channel: any Channel, _ pin: (host: String, address: IPAddress)?, _ newest: Newest
  ) throws {
    if let pin, channel.remoteAddress?.ipAddress.flatMap({ IPAddress($0) })?.unmapped != pin.address.unmapped {
      throw TransportError(.forbiddenAddress, "connected to a different address than the checked one")
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
