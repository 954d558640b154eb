/// How a transport opens and keeps connections.
public struct TransportSettings: Sendable, Hashable {
  /// Which versions of HTTP a connection may use.
  public enum Versions: String, Sendable, CaseIterable {
    /// HTTP/2 if an `https` server offers it, otherwise HTTP/1.1.
    case automatic
    /// HTTP/1.1 only.
    case http1
  }

  /// The limit for the TCP connection and the TLS handshake together. Default: 10 seconds.
  public var connectTimeout: Duration = .seconds(10)
  /// How long to keep an idle connection. Default: 60 seconds.
  public var idleTimeout: Duration = .seconds(60)
  /// The maximum HTTP/1.1 connections to one server; further requests wait. HTTP/2 uses one. Default: 8.
  public var maxConnections = 8
  /// Which versions of HTTP a connection may use. Default: HTTP/2 where the server offers it.
  public var versions: Versions = .automatic
  /// The trusted authorities, and a client certificate.
  public var tls = TLSSettings()
  /// The permitted addresses; nil permits all without a check.
  public var addresses: AddressPolicy?

  /// The defaults; every address is permitted.
  public init() {}
}
