import AsyncHTTPClient
import NIOCore

extension TransportError {
  /// - Parameter host: The host of the request.
  init(describing error: any Error, host: String) {
    switch error {
    case let error as TransportError: self = error
    case is CancellationError: self.init(.cancelled)
    case let error as HTTPClientError: self.init(client: error)
    case let error as ChannelError: self.init(channel: error)
    default: self.init(system: error, host: host)
    }
  }

  /// The certificate does not name the host.
  init(wrongNameFor host: String) {
    self.init(.tls, "the server's certificate does not contain the name \(host); use a name that it contains")
  }

  private static let connecting = "connecting"

  /// Whether it is certain that nothing of the request was sent, so that a different address may be tried.
  var isBeforeSending: Bool {
    switch kind {
    case .connectionRefused, .unreachable, .unknownHost: true
    case .timeout: detail == Self.connecting
    default: false
    }
  }

  private init(client error: HTTPClientError) {
    switch error {
    case .connectTimeout: self.init(.timeout, Self.connecting)
    case .readTimeout, .writeTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout:
      self.init(.timeout, error.shortDescription.lowercased())
    case .tlsHandshakeTimeout: self.init(.tls, "the handshake timed out")
    case .remoteConnectionClosed, .uncleanShutdown: self.init(.connectionLost)
    case .cancelled: self.init(.cancelled)
    case .alreadyShutdown: self.init(.cancelled, "the sink is closed")
    case .invalidURL, .emptyHost, .emptyScheme: self.init(.invalidRequest, error.shortDescription.lowercased())
    // Other descriptions can contain header values, and a header value can be a secret.
    default: self.init(.other, error.shortDescription.lowercased())
    }
  }

  private init(channel error: ChannelError) {
    switch error {
    case .connectTimeout: self.init(.timeout, Self.connecting)
    case .eof, .ioOnClosedChannel, .alreadyClosed, .inputClosed, .outputClosed: self.init(.connectionLost)
    default: self.init(.other, "\(error)")
    }
  }

  private init(system error: any Error, host: String) {
    let type = String(reflecting: Swift.type(of: error))
    if type.hasPrefix("NIOSSL.") {
      self.init(.tls, Self.remedy(tls: "\(error)", host: host))
    } else if let cause = Self.systemCause(of: error, depth: 0) {
      switch cause.errnoCode {
      case Self.refused: self.init(.connectionRefused)
      case Self.reset, Self.brokenPipe: self.init(.connectionLost)
      case Self.connectionTimedOut: self.init(.timeout, Self.connecting)
      case let code where Self.unreachable.contains(code): self.init(.unreachable, "\(PlatformError(code))")
      default: self.init(.other, "\(PlatformError(cause.errnoCode))")
      }
    } else if type.contains("NIOConnectionError") {
      self.init(.unknownHost)
    } else {
      self.init(.other, type)
    }
  }

  /// Translates the library's message, and says what to do.
  private static func remedy(tls words: String, host: String) -> String {
    let meanings = [
      (
        "CERTIFICATE_VERIFY_FAILED",
        "the certificate of \(host) is not trusted: it is expired, or its authority is unknown; "
          + "set tls.ca to the authority's certificate"
      ),
      ("failedToValidateHostname", TransportError(wrongNameFor: host).detail),
      ("CERTIFICATE_REQUIRED", "\(host) requires a client certificate; set tls.certificate and tls.key"),
      (
        "HANDSHAKE_FAILURE",
        "\(host) ended the handshake; it may require a client certificate (tls.certificate, tls.key)"
      ),
      ("ALERT_UNKNOWN_CA", "\(host) does not trust the authority of the client certificate (tls.certificate)"),
      ("ALERT_BAD_CERTIFICATE", "\(host) rejects the client certificate (tls.certificate)"),
      ("ALERT_CERTIFICATE_EXPIRED", "\(host) says that the client certificate is expired (tls.certificate)"),
      ("WRONG_VERSION_NUMBER", "\(host) does not use TLS on that port; is the address http:// ?"),
      ("PROTOCOL_VERSION", "\(host) does not support TLS 1.2 or later"),
    ]
    return meanings.first { words.contains($0.0) }?.1 ?? words
  }

  /// The first nested `IOError`: a connection failure wraps one for each tried address.
  private static func systemCause(of value: Any, depth: Int) -> IOError? {
    if let error = value as? IOError { return error }
    guard depth < 5 else { return nil }
    for child in Mirror(reflecting: value).children {
      if let found = systemCause(of: child.value, depth: depth + 1) { return found }
    }
    return nil
  }
}
