/// Why a request got no response.
public struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Why there is no response, for programs.
  public enum Kind: Sendable, Hashable {
    case connectionRefused, unknownHost, unreachable, timeout, tls
    /// The host's address is not allowed.
    case forbiddenAddress
    /// The connection ended before the response was complete.
    case connectionLost
    case cancelled
    /// This process has too many connections open, and none became free in time. Nothing was sent.
    case tooManyConnections
    /// The request is invalid and cannot be sent.
    case invalidRequest
    case other
  }

  /// Why there is no response, for programs.
  public let kind: Kind
  /// More about it, for operators; may be empty.
  public let detail: String

  /// An error of this kind.
  public init(_ kind: Kind, _ detail: String = "") {
    self.kind = kind
    self.detail = detail
  }

  public var description: String { detail.isEmpty ? kind.explanation : "\(kind.explanation) (\(detail))" }
}

extension TransportError.Kind {
  var explanation: String {
    switch self {
    case .connectionRefused: "connection refused"
    case .unknownHost: "unknown host name"
    case .unreachable: "the host is unreachable"
    case .forbiddenAddress: "the address is not allowed"
    case .timeout: "timed out"
    case .tls: "the TLS connection failed"
    case .connectionLost: "the connection ended before a response arrived"
    case .cancelled: "cancelled"
    case .tooManyConnections:
      "no connection became free in time: this process has as many open as its limit of open files permits"
    case .invalidRequest: "the request cannot be sent"
    case .other: "the request failed"
    }
  }
}
