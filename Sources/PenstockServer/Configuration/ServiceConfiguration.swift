/// How the service listens, what it takes, and what it keeps beside the log.
public struct ServiceConfiguration: Sendable {
  /// A certificate and its key, as files in PEM.
  public struct TLS: Sendable, Hashable {
    public var certificateFile: String
    public var keyFile: String

    public init(certificateFile: String, keyFile: String) {
      self.certificateFile = certificateFile
      self.keyFile = keyFile
    }
  }

  public var host = "127.0.0.1"
  /// 0 takes a free port, which is reported.
  public var port = 8080
  /// HTTP/1.1 and HTTP/2 over TLS 1.2 or later; nil: HTTP/1.1 in the clear.
  public var tls: TLS?
  /// The file of keys; nil: nobody is asked for one, which is allowed on a loopback address alone.
  public var keysFile: String?
  public var limits = ServiceLimits()
  /// The file these settings come from, to be named to people; nil: they come from a program.
  public var configurationFile: String?

  public init() {}

  /// What keeps these settings from being used together; nil when nothing does.
  package var complaint: String? {
    if keysFile == nil, !Self.isLoopback(host) {
      return "server.keysFile is missing; without keys the service listens on 127.0.0.1, ::1 or localhost alone"
    }
    return limits.complaint
  }

  package static func isLoopback(_ host: String) -> Bool {
    ["127.0.0.1", "::1", "localhost"].contains(host)
  }
}

/// What one service takes from its clients. All but ``maxConnections`` and the times may be replaced while it runs.
public struct ServiceLimits: Sendable, Hashable {
  /// The longest body in bytes, both as it is sent and decompressed. Default 16 MiB.
  public var maxBodyBytes = 16 << 20
  /// The longest event in bytes. Default 1 MiB.
  public var maxEventBytes = 1 << 20
  /// The most events of one body. Default 50,000.
  public var maxEvents = 50_000
  /// How deep an event may be nested; 1 … 128. Default 64.
  public var maxDepth = 64
  /// Bytes of bodies in memory at once; who comes with more is asked to come again. Default 128 MiB.
  public var bodyMemory = 128 << 20
  /// Connections at once; more wait to be accepted. Default 16,384. Fewer, where the process may open too few files: some are kept
  /// for the log, its cursors and destinations.
  public var maxConnections = 16_384
  /// How long a connection may say nothing before its request is begun, a TLS handshake included, or within it. Default
  /// 75 s.
  ///
  /// Longer than a balancer keeps its idle connections (60 s in most): one that the service closes first may just then
  /// be used for a request, which the balancer answers with 502.
  public var idleTimeout = Duration.seconds(75)
  /// How long a body may take. Default 60 s.
  public var bodyTimeout = Duration.seconds(60)
  /// How long requests under way may take to be answered once the service ends. Default 20 s.
  public var drainTimeout = Duration.seconds(20)
  /// Idempotency keys that are remembered. Default 100,000, about 150 bytes of memory each.
  public var maxIdempotencyKeys = 100_000
  /// For how long they are. Default 24 hours.
  public var idempotencyWindow = Duration.seconds(86_400)

  public init() {}

  package var complaint: String? {
    if maxBodyBytes < 1 || maxEventBytes < 1 || maxEvents < 1 { return "limits must be above 0" }
    if !(1...128).contains(maxDepth) { return "maxDepth must be 1 … 128" }
    if bodyMemory < 2 * maxBodyBytes { return "bodyMemory must have room for two bodies of maxBodyBytes" }
    if maxConnections < 1 { return "maxConnections must be above 0" }
    if idleTimeout <= .zero || bodyTimeout <= .zero || drainTimeout < .zero { return "times must be above 0" }
    if !(1...10_000_000).contains(maxIdempotencyKeys) { return "maxIdempotencyKeys must be 1 … 10000000" }
    if idempotencyWindow < .seconds(60) { return "idempotencyWindow must be at least a minute" }
    return nil
  }

  /// The same, with what cannot be replaced while the service runs taken from `running`.
  package func replacing(_ running: ServiceLimits) -> ServiceLimits {
    var limits = self
    limits.maxConnections = running.maxConnections
    limits.idleTimeout = running.idleTimeout
    limits.bodyTimeout = running.bodyTimeout
    limits.drainTimeout = running.drainTimeout
    limits.maxIdempotencyKeys = running.maxIdempotencyKeys
    limits.idempotencyWindow = running.idempotencyWindow
    return limits
  }

  package func rules(onError: IngestRules.OnError, appID: String?) -> IngestRules {
    var rules = IngestRules()
    rules.maxBodyBytes = maxBodyBytes
    rules.maxEventBytes = maxEventBytes
    rules.maxEvents = maxEvents
    rules.depthLimit = maxDepth
    rules.onError = onError
    rules.appID = appID
    return rules
  }
}
