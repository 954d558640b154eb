/// How a transport makes and keeps its connections.
public struct TransportSettings: Sendable, Hashable {
  public enum Versions: String, Sendable, CaseIterable {
    /// HTTP/2 where a server of `https` offers it, HTTP/1.1 otherwise.
    case automatic
    case http1
  }

  /// For the TCP connection and the TLS handshake together.
  public var connectTimeout: Duration = .seconds(10)
  /// How long a connection is kept that nothing is sent over.
  public var idleTimeout: Duration = .seconds(60)
  /// The most connections to one server over HTTP/1.1; further requests wait. HTTP/2 uses one.
  public var maxConnections = 8
  public var versions: Versions = .automatic
  public var tls = TLSSettings()
  /// The addresses that may be connected to; nil for all, unseen.
  public var addresses: AddressPolicy?

  public init() {}
}
