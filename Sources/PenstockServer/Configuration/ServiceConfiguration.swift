/// How the service listens, what it accepts, and where it keeps API keys.
public struct ServiceConfiguration: Sendable {
  /// A certificate and its private key, as PEM files.
  public struct TLS: Sendable, Hashable {
    /// The certificate and its chain, a PEM file.
    public var certificateFile: String
    /// The private key, a PEM file.
    public var keyFile: String

    /// Names the files; they are read when the service starts.
    public init(certificateFile: String, keyFile: String) {
      self.certificateFile = certificateFile
      self.keyFile = keyFile
    }
  }

  /// The address to listen on. Default 127.0.0.1.
  public var host = "127.0.0.1"
  /// The TCP port; 0 takes a free port, which `onListening` reports.
  public var port = 8080
  /// HTTP/1.1 and HTTP/2 over TLS 1.2 or later; nil: HTTP/1.1 without TLS.
  public var tls: TLS?
  /// The file of API keys; nil: no request needs a key, which is allowed on a loopback address only.
  public var keysFile: String?
  /// What clients may send.
  public var limits = ServiceLimits()
  /// The file that these settings come from, shown to operators; nil: a program set them.
  public var configurationFile: String?

  /// Listens on 127.0.0.1:8080 without TLS and keys.
  public init() {}

  /// Why these settings cannot be used together; nil when they can.
  package var complaint: String? {
    if keysFile == nil, !Self.isLoopback(host) {
      return "server.keysFile is missing; without keys the service listens on 127.0.0.1, ::1 or localhost only"
    }
    return limits.complaint
  }

  package static func isLoopback(_ host: String) -> Bool {
    ["127.0.0.1", "::1", "localhost"].contains(host)
  }
}

/// What one service accepts from its clients. All but ``maxConnections`` and the times may change while it runs.
public struct ServiceLimits: Sendable, Hashable {
  /// The longest body in bytes, both as sent and decompressed. Default 16 MiB.
  public var maxBodyBytes = 16 << 20
  /// The longest event in bytes. Default 1 MiB.
  public var maxEventBytes = 1 << 20
  /// The largest number of events in one body. Default 50,000.
  public var maxEvents = 50_000
  /// How deep an event may be nested; 1 to 128. Default 64.
  public var maxDepth = 64
  /// Bytes of bodies in memory at once; beyond them the service answers 429. Default 128 MiB.
  public var bodyMemory = 128 << 20
  /// Connections at once; more wait to be accepted. Default 16,384.
  ///
  /// The service lowers it when the process may open too few files: it reserves some for the log, its cursors and
  /// destinations.
  public var maxConnections = 16_384
  /// How long a connection may be idle, in a TLS handshake, before a request or within one. Default 75 s.
  ///
  /// Keep it longer than a load balancer keeps its idle connections (60 s in most). Otherwise the balancer may send a
  /// request on a connection that the service is just closing, and answers its client with 502.
  public var idleTimeout = Duration.seconds(75)
  /// How long the service waits for a whole body. Default 60 s.
  public var bodyTimeout = Duration.seconds(60)
  /// How long requests in progress may take when the service stops. Default 20 s.
  public var drainTimeout = Duration.seconds(20)
  /// The largest number of remembered idempotency keys. Default 100,000, about 150 bytes of memory each.
  public var maxIdempotencyKeys = 100_000
  /// How long an idempotency key is remembered. Default 24 hours.
  public var idempotencyWindow = Duration.seconds(86_400)

  /// The defaults.
  public init() {}

  package var complaint: String? {
    if maxBodyBytes < 1 || maxEventBytes < 1 || maxEvents < 1 { return "limits must be above 0" }
    if !(1...128).contains(maxDepth) { return "maxDepth must be 1 to 128" }
    if bodyMemory < 2 * maxBodyBytes { return "bodyMemory must have room for two bodies of maxBodyBytes" }
    if maxConnections < 1 { return "maxConnections must be above 0" }
    if idleTimeout <= .zero || bodyTimeout <= .zero || drainTimeout < .zero { return "times must be above 0" }
    if !(1...10_000_000).contains(maxIdempotencyKeys) { return "maxIdempotencyKeys must be 1 to 10000000" }
    if idempotencyWindow < .seconds(60) { return "idempotencyWindow must be at least a minute" }
    return nil
  }

  /// These limits, with those that cannot change while the service runs taken from `running`.
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
