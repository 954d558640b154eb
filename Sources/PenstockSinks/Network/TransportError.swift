/// Why a request got no answer.
public struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    case connectionRefused, unknownHost, unreachable, timeout, tls
    /// The host's address is one that must not be connected to.
    case forbiddenAddress
    /// The connection ended before the answer came.
    case connectionLost
    case cancelled
    /// The request cannot be sent as it stands.
    case invalidRequest
    case other
  }

  public let kind: Kind
  public let detail: String

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
    case .unknownHost: "the host name is not known"
    case .unreachable: "the host cannot be reached"
    case .forbiddenAddress: "the address is not allowed"
    case .timeout: "timed out"
    case .tls: "no secure connection could be made"
    case .connectionLost: "the connection ended before an answer came"
    case .cancelled: "cancelled"
    case .invalidRequest: "the request cannot be sent"
    case .other: "the request failed"
    }
  }
}
