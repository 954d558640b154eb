import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore
import NIOSSL
import PenstockDelivery
public import PenstockLog
import PenstockSinks
import PenstockSupport
public import ServiceLifecycle
import Synchronization

/// Why a service cannot start.
public struct ServiceError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The explanation, for operators.
  public let message: String
  public var description: String { message }
}

/// An HTTP service for a log: accepts events, delivers them to destinations, and offers an admin API and a console.
///
/// It answers `POST /v1/events` when the events have the durability that the log is configured for, by default on
/// stable storage. It keeps two more logs: `LOG.keys` (idempotency keys) and `LOG.audit` (who changed what).
public final class PenstockService: Service {
  private let log: Log
  private let configuration: ServiceConfiguration
  private let logger: Logger
  private let onListening: @Sendable (_ port: Int) async -> Void
  private let keys: APIKeyStore?
  private let keyed: IdempotentAppender
  private let ingest: Ingest
  private let audit: AuditLog
  private let runners: [DestinationRunner]
  private let replays: ReplayRunner
  private let redeliveries: RedeliveryRunner
  private let router: ServiceRouter
  private let hasRun = Atomic(false)
  /// The parts other than the log that are damaged or unusable.
  let damage: @Sendable () -> [ServiceDamage]
  let feed: StatusFeed

  /// Opens the log and the service's other logs. The service listens on its port when ``run()`` is called.
  ///
  /// Damage to anything but the log does not prevent a start; the logger reports it. While the file of API keys cannot
  /// be read, the service refuses every request and still delivers events.
  ///
  /// - Parameters:
  ///   - path: The log's directory.
  ///   - logConfiguration: The configuration of the log.
  ///   - configuration: How the service listens, and what it accepts.
  ///   - destinations: The destinations; each has a cursor of its name.
  ///   - given: A logger and a tracer.
  ///   - onListening: Called once, with the port, when the service accepts requests.
  /// - Throws: ``ServiceError`` when the configuration is invalid; `LogError` when a log cannot be opened.
  public static func open(
    log path: String, _ logConfiguration: LogConfiguration = LogConfiguration(),
    _ configuration: ServiceConfiguration, destinations: [ServiceDestination] = [],
    environment given: ServiceEnvironment = ServiceEnvironment(),
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) async throws -> PenstockService {
    if let complaint = configuration.complaint { throw ServiceError(message: complaint) }
    let logger = given.logger
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
        log, journal: path + ".keys",
        options: IdempotencyOptions(
          capacity: limits.maxIdempotencyKeys, window: limits.idempotencyWindow.components.seconds)
      ) { trouble in
        if let trouble {
          logger.error("idempotency keys cannot be stored", metadata: ["error": "\(trouble)"])
        } else {
          logger.notice("idempotency keys are stored again")
        }
      }
      let audit = await AuditLog.open(at: path + ".audit")
      let service = PenstockService(
        Components(
          log: log,
          configuration: OpeningConfiguration(path: path, log: logConfiguration, service: configuration),
          keys: keys, keyed: keyed, audit: audit, metrics: metrics, destinations: destinations, logger: logger,
          tracing: RequestTracing(given.tracer), onListening: onListening))
      for damage in service.damage() {
        logger.error(
          "a part of the service is damaged or unusable",
          metadata: ["part": "\(damage.part.rawValue)", "error": "\(damage.message)"])
      }
      return service
    } catch {
      try? await log.close()
      throw error
    }
  }

  /// The configuration with `maxConnections` lowered, so that enough descriptors remain for everything else. Bounds the
  /// connections to destinations by what remains.
  private static func fitting(
    _ configuration: ServiceConfiguration, _ destinations: [ServiceDestination], _ logger: Logger
  ) -> ServiceConfiguration {
    var configuration = configuration
    let (wanted, limit) = (configuration.limits.maxConnections, OpenFileLimit.current)
    let need = OpenFileNeed(
      eventLoops: EventLoops.count, destinations: destinations.map(\.openFiles), isService: true)
    let taken = OpenFileLimit.connections(
      wanted: wanted, of: limit, destinations: destinations.count, needed: need.count)
    ConnectionBudget.shared.limit = need.connections(of: limit.map { $0 - taken })
    guard taken < wanted else { return configuration }
    configuration.limits.maxConnections = taken
    logger.warning(
      "maxConnections is lowered, because the process may open too few files",
      metadata: ["connections": "\(taken)", "maxConnections": "\(wanted)", "openFiles": "\(limit ?? 0)"])
    return configuration
  }

  /// The opened logs and the configuration of a service.
  private struct Components {
    let log: Log
    let configuration: OpeningConfiguration
    let keys: APIKeyStore?
    let keyed: IdempotentAppender
    let audit: AuditLog
    let metrics: ServiceMetrics
    let destinations: [ServiceDestination]
    let logger: Logger
    let tracing: RequestTracing?
    let onListening: @Sendable (_ port: Int) async -> Void
  }

  private init(_ components: Components) {
    let (log, logger, logConfiguration) = (components.log, components.logger, components.configuration.log)
    let (keys, keyed, audit) = (components.keys, components.keyed, components.audit)
    self.log = log
    self.logger = logger
    self.keys = keys
    self.keyed = keyed
    self.audit = audit
    configuration = components.configuration.service
    onListening = components.onListening
    ingest = Ingest(log, keyed: keyed, limits: configuration.limits, recordBytes: logConfiguration.recordBytes)
    let damage: @Sendable () -> [ServiceDamage] = {
      let parts: [(ServiceDamage.Part, String?)] = [
        (.accessKeys, keys?.trouble?.message), (.idempotencyKeys, keyed.damage), (.audit, audit.damage),
      ]
      return parts.compactMap { part, message in message.map { ServiceDamage(part, $0) } }
    }
    self.damage = damage
    let events = EventRouter(of: log)
    runners = components.destinations.map {
      DestinationRunner($0, log, events, retention: logConfiguration.retention, logger: logger)
    }
    replays = ReplayRunner(log, logger: logger)
    redeliveries = RedeliveryRunner(logger: logger)
    let admin = AdminAPI(
      log, AdminAPI.Runners(destinations: runners, replays: replays, redeliveries: redeliveries), ingest: ingest,
      metrics: components.metrics, configuration: components.configuration,
      environment: AdminAPI.Environment(damage: damage))
    feed = StatusFeed(
      destinations: components.destinations.map(\.name), snapshot: { await admin.state(for: $0).text },
      sample: { admin.sample })
    router = ServiceRouter(
      authorizer: Authorizer(keys: keys), ingest: ingest, admin: admin, keys: keys.map { KeysAPI(store: $0) },
      audit: audit, metrics: components.metrics, feed: feed, tracing: components.tracing, logger: logger)
  }

  /// The result of the log's recovery.
  public var recovery: RecoveryReport { log.recovery }

  /// Reads the file of API keys again, and sets new limits (all but connections, times and idempotency). Requests in
  /// progress, open batches and destinations do not change. Blocks the calling thread.
  ///
  /// - Throws: ``KeyStoreError`` when a limit is invalid or the file cannot be read. The keys and limits then stay as
  ///   they are.
  public func reload(_ limits: ServiceLimits) throws(KeyStoreError) {
    if let complaint = limits.complaint { throw KeyStoreError(message: complaint) }
    try keys?.reload()
    ingest.replace(limits)
  }

  /// Runs the service until graceful shutdown or cancellation. Call it once.
  ///
  /// Then it refuses new requests, answers those in progress, finishes and commits the attempts in flight, and syncs
  /// and closes the log. After ``ServiceLimits/drainTimeout`` it disconnects the remaining clients. As after a crash,
  /// those clients do not know whether their events were written.
  ///
  /// - Throws: ``ServiceError`` when it runs already or has run, or cannot use its certificate; an error of the server,
  ///   such as a port in use; `LogError` when a log cannot be closed.
  public func run() async throws {
    if hasRun.exchange(true, ordering: .relaxed) {
      throw ServiceError(message: "the service runs already, or has run; open it again to run it again")
    }
    // Detached, because cancellation must not interrupt attempts in flight.
    let delivering = runners.map { runner in Task.detached { await runner.run() } }
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
    for runner in runners { runner.stop() }
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
        logger.warning("the drain timeout is over; requests in progress are disconnected")
        // Ends appends that wait for space on the disk; they would otherwise wait until the log is closed.
        keyed.end()
        await stopDelivering(delivering)
        try? await log.close()
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// The budget for bodies in memory.
  var memory: MemoryBudget { ingest.budget }

  /// Closes the logs. Call it last.
  func end() async throws {
    var failure: (any Error)?
    do { try await keyed.close() } catch { failure = error }
    do { try await audit.close() } catch { failure = error }
    try await log.close()
    if let failure { throw failure }
  }

  /// The HTTP server, without the deliveries.
  func application() throws -> some ApplicationProtocol {
    var quiet = Logger(label: "penstock.http")
    // Hummingbird logs every connection that a shutdown closes as an error.
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
      // Checked here, because a later failure has no clear message.
      _ = try NIOSSLContext(configuration: context)
      return HTTPServerBuilder { [context] responder in
        TimeoutTLSChannel(
          base: try HTTP2UpgradeChannel(
            tlsConfiguration: context,
            configuration: .init(idleTimeout: idle, gracefulCloseTimeout: .seconds(30), streamConfiguration: stream),
            responder: responder),
          idleTimeout: TimeAmount(idle))
      }
    } catch {
      throw ServiceError(message: "the certificate or its key cannot be used: \(error)")
    }
  }
}
