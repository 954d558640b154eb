import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
public import Logging
import NIOCore
import NIOSSL
public import PenstockLog
public import ServiceLifecycle
import Synchronization
public import Tracing

/// Why a service cannot start.
public struct ServiceError: Error, Sendable, Hashable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
}

/// A log behind HTTP: takes events in, brings them to destinations, and lets people look and steer.
///
/// `POST /v1/events` is answered when the events are as safe as the log was configured, by default on stable storage. What is
/// kept beside the log: `LOG.keys` (idempotency keys) and `LOG.audit` (who changed what), each a log of its own.
public final class PenstockService: Service {
  private let log: Log
  private let configuration: ServiceConfiguration
  private let logger: Logger
  private let onListening: @Sendable (_ port: Int) async -> Void
  private let keys: APIKeyStore?
  private let keyed: IdempotentAppender
  private let ingest: Ingest
  private let audit: AuditLog
  private let hosts: [DestinationRunner]
  private let replays: ReplayRunner
  private let redeliveries: RedeliveryRunner
  private let router: ServiceRouter
  /// What is damaged beside the log, or cannot be used.
  let damage: @Sendable () -> [ServiceDamage]
  let feed: StatusFeed

  /// Opens the log and what is kept beside it. Nothing is listened on before ``run()``.
  ///
  /// - Parameters:
  ///   - path: The log's directory.
  ///   - logConfiguration: How it is kept.
  ///   - configuration: How the service listens, and what it takes.
  ///   - destinations: What it delivers to; each is a cursor.
  ///   - logger: Told of trouble.
  ///   - tracer: Where a span of each request goes; by default wherever the process sends all of them. Without any, nothing is traced.
  ///   - onListening: Called once, with the port, when requests are taken.
  /// What is damaged beside the log keeps it from nothing else: see ``damage``. As long as the file of keys cannot be
  /// read nobody is let in, and events are delivered all the same.
  ///
  /// - Throws: ``ServiceError``, `LogError`.
  public static func open(
    log path: String, _ logConfiguration: LogConfiguration = LogConfiguration(),
    _ configuration: ServiceConfiguration, destinations: [ServiceDestination] = [],
    logger: Logger = Logger(label: "penstock.service"), tracer: any Tracer = InstrumentationSystem.tracer,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) async throws -> PenstockService {
    if let complaint = configuration.complaint { throw ServiceError(message: complaint) }
    let configuration = fitting(configuration, destinations, logger)
    let keys = configuration.keysFile.map { APIKeyStore(closedUnlessReadable: $0) }
    let metrics = ServiceMetrics()
    var environment = LogEnvironment.system
    environment.observer = ServiceLogObserver(metrics: metrics)
    environment.logger = logger
    let log = try await Log.open(at: path, configuration: logConfiguration, environment: environment)
    do {
      let limits = configuration.limits
      let keyed = try await IdempotentAppender.open(
        log, journal: path + ".keys", capacity: limits.maxIdempotencyKeys,
        window: limits.idempotencyWindow.components.seconds
      ) { trouble in
        if let trouble {
          logger.error("idempotency keys cannot be kept", metadata: ["error": "\(trouble)"])
        } else {
          logger.notice("idempotency keys are kept again")
        }
      }
      let audit = await AuditLog.open(at: path + ".audit")
      let service = PenstockService(
        log, path, logConfiguration, configuration, keys, keyed, audit, metrics, destinations, logger,
        RequestTracing(tracer), onListening)
      for damage in service.damage() {
        logger.error("damaged", metadata: ["part": "\(damage.part.rawValue)", "error": "\(damage.message)"])
      }
      return service
    } catch {
      try? await log.close()
      throw error
    }
  }

  /// With no more connections than leave descriptors for everything else.
  private static func fitting(
    _ configuration: ServiceConfiguration, _ destinations: [ServiceDestination], _ logger: Logger
  ) -> ServiceConfiguration {
    var configuration = configuration
    let (wanted, limit) = (configuration.limits.maxConnections, OpenFileLimit.current)
    let taken = OpenFileLimit.connections(
      wanted: wanted, of: limit, destinations: destinations.count,
      needed: destinations.reduce(0) { $0 + $1.openFiles.count })
    guard taken < wanted else { return configuration }
    configuration.limits.maxConnections = taken
    logger.warning(
      "fewer connections are taken than maxConnections allows, because the process may open few files",
      metadata: ["connections": "\(taken)", "maxConnections": "\(wanted)", "openFiles": "\(limit ?? 0)"])
    return configuration
  }

  private init(
    _ log: Log, _ path: String, _ logConfiguration: LogConfiguration, _ configuration: ServiceConfiguration,
    _ keys: APIKeyStore?,
    _ keyed: IdempotentAppender, _ audit: AuditLog, _ metrics: ServiceMetrics, _ destinations: [ServiceDestination],
    _ logger: Logger, _ tracing: RequestTracing?, _ onListening: @escaping @Sendable (_ port: Int) async -> Void
  ) {
    self.log = log
    self.configuration = configuration
    self.logger = logger
    self.onListening = onListening
    self.keys = keys
    self.keyed = keyed
    self.audit = audit
    ingest = Ingest(log, keyed: keyed, limits: configuration.limits, recordBytes: logConfiguration.recordBytes)
    let damage: @Sendable () -> [ServiceDamage] = {
      let parts: [(ServiceDamage.Part, String?)] = [
        (.accessKeys, keys?.trouble?.message), (.idempotencyKeys, keyed.damage), (.audit, audit.damage),
      ]
      return parts.compactMap { part, message in message.map { ServiceDamage(part, $0) } }
    }
    self.damage = damage
    hosts = destinations.map {
      DestinationRunner($0, log, retention: logConfiguration.retention, logger: logger)
    }
    replays = ReplayRunner(log, logger: logger)
    redeliveries = RedeliveryRunner(logger: logger)
    let admin = AdminAPI(
      log, hosts: hosts, replays: replays, redeliveries: redeliveries, ingest: ingest, metrics: metrics,
      facts: ServiceFacts(path: path, log: logConfiguration, service: configuration), clock: SystemWallClock(),
      damage: damage)
    feed = StatusFeed(
      destinations: destinations.map(\.name), look: { await admin.state(for: $0).text }, sample: { admin.sample })
    router = ServiceRouter(
      gate: Authorizer(keys: keys), ingest: ingest, admin: admin, keys: keys.map { KeysAPI(store: $0) }, audit: audit,
      metrics: metrics, feed: feed, tracing: tracing, logger: logger)
  }

  /// What recovery found.
  public var recovery: RecoveryReport { log.recovery }

  /// Takes up the keys' file as it is now, and other limits (all but connections, times and idempotency). Requests under way,
  /// open batches and destinations stay as they are.
  public func reload(_ limits: ServiceLimits) throws(KeyStoreError) {
    if let complaint = limits.complaint { throw KeyStoreError(message: complaint) }
    try keys?.reload()
    ingest.replace(limits)
  }

  /// Serves until graceful shutdown or cancellation: then takes nothing new, answers what is under way, lets attempts in flight
  /// finish and commits them, syncs and closes the log. Whoever is not answered by then is cut off after
  /// ``ServiceLimits/drainTimeout``; whether what he sent was written is open, as after a crash.
  public func run() async throws {
    // Detached: they end when told.
    let delivering = hosts.map { host in Task.detached { await host.run() } }
    let sampling = Task.detached { [feed] in await feed.run() }
    let result: Result<Void, any Error>
    do {
      try await withGracefulShutdownHandler {
        try await serve(delivering)
      } onGracefulShutdown: { [self] in
        stopTaking()
      }
      result = .success(())
    } catch is CancellationError {
      result = .success(())
    } catch {
      result = .failure(error)
    }
    stopTaking()
    await sampling.value
    await stopDelivering(delivering)
    try await end()
    try result.get()
  }

  private func stopTaking() {
    ingest.end()
    feed.end()
    for host in hosts { host.stop() }
  }

  private func stopDelivering(_ delivering: [Task<Void, Never>]) async {
    await replays.stop()
    await redeliveries.stop()
    for task in delivering { await task.value }
  }

  private func serve(_ delivering: [Task<Void, Never>]) async throws {
    let application = try application()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await application.run() }
      group.addTask { [self] in
        try await gracefulShutdown()
        try await Task.sleep(for: configuration.limits.drainTimeout)
        logger.warning("requests that were not answered in time are cut off")
        // An append that waits for room on the disk waits until the log is closed.
        keyed.end()
        await stopDelivering(delivering)
        try? await log.close()
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// Bytes of bodies that may be held.
  var memory: MemoryBudget { ingest.budget }

  /// Closes what was opened; the last thing that is done with it.
  func end() async throws {
    var failure: (any Error)?
    do { try await keyed.close() } catch { failure = error }
    do { try await audit.close() } catch { failure = error }
    try await log.close()
    if let failure { throw failure }
  }

  /// What listens and answers, without the deliveries.
  func application() throws -> some ApplicationProtocol {
    var quiet = Logger(label: "penstock.http")
    // Being stopped is logged as an error for each connection that is still open.
    quiet.logLevel = .critical
    var application = ApplicationConfiguration(
      address: .hostname(configuration.host, port: configuration.port), serverName: nil, backlog: 1024)
    application.availableConnectionsDelegate = MaximumAvailableConnections(configuration.limits.maxConnections)
    return Application(
      responder: CallbackResponder<ServiceContext> { [router] request, context in
        await router.respond(to: request, context)
      },
      server: try server(), configuration: application,
      onServerRunning: { [onListening, configuration] channel in
        await onListening(channel.localAddress?.port ?? configuration.port)
      },
      logger: quiet)
  }

  private func server() throws -> HTTPServerBuilder {
    let idle = configuration.limits.idleTimeout
    let stream = HTTP1Channel.Configuration(
      additionalChannelHandlers: [WriteTimeoutHandler()], idleTimeout: TimeAmount(idle),
      httpDecoderConfiguration: .init(
        maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))
    guard let tls = configuration.tls else {
      return .http1(configuration: stream)
    }
    do {
      var context = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificateFile).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.keyFile, format: .pem)))
      context.minimumTLSVersion = .tlsv12
      // Read here, where it can be said that it is no good.
      _ = try NIOSSLContext(configuration: context)
      return HTTPServerBuilder { [context] responder in
        TimeoutTLSChannel(
          base: try HTTP2UpgradeChannel(
            tlsConfiguration: context,
            configuration: .init(idleTimeout: idle, gracefulCloseTimeout: .seconds(30), streamConfiguration: stream),
            responder: responder),
          patience: TimeAmount(idle))
      }
    } catch {
      throw ServiceError(message: "the certificate or its key cannot be used: \(error)")
    }
  }
}
