import AsyncHTTPClient
import NIOCore

extension TransportError {
  /// - Parameter host: whom the request was for.
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
    self.init(.tls, "the certificate of the server is for other names than \(host); use a name that is in it")
  }

  private static let connecting = "connecting"

  /// Whether it is certain that nothing of the request has left, so that another address may be tried.
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
    case .alreadyShutdown: self.init(.cancelled, "the sink has been closed")
    case .invalidURL, .emptyHost, .emptyScheme: self.init(.invalidRequest, error.shortDescription.lowercased())
    // Descriptions of the others can hold header values, and a header value can be a secret.
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

  /// What the library's words mean, and what to do.
  private static func remedy(tls words: String, host: String) -> String {
    let meanings = [
      (
        "CERTIFICATE_VERIFY_FAILED",
        "the certificate of \(host) is not believed: it is out of date, or it comes from an authority that is not known; "
          + "name the authority's certificate with tls.ca"
      ),
      ("failedToValidateHostname", TransportError(wrongNameFor: host).detail),
      ("CERTIFICATE_REQUIRED", "\(host) demands a client certificate; set tls.certificate and tls.key"),
      (
        "HANDSHAKE_FAILURE",
        "\(host) ended the handshake; it may demand a client certificate (tls.certificate, tls.key)"
      ),
      ("ALERT_UNKNOWN_CA", "\(host) does not know the authority of our certificate (tls.certificate)"),
      ("ALERT_BAD_CERTIFICATE", "\(host) does not take our certificate (tls.certificate)"),
      ("ALERT_CERTIFICATE_EXPIRED", "\(host) says that our certificate is out of date (tls.certificate)"),
      ("WRONG_VERSION_NUMBER", "\(host) does not speak TLS on that port; is the address http:// ?"),
      ("PROTOCOL_VERSION", "\(host) offers no version of TLS from 1.2 on"),
    ]
    return meanings.first { words.contains($0.0) }?.1 ?? words
  }

  /// The `IOError` somewhere inside: a failure to connect wraps one for each address that was tried.
  private static func systemCause(of value: Any, depth: Int) -> IOError? {
    if let error = value as? IOError { return error }
    guard depth < 5 else { return nil }
    for child in Mirror(reflecting: value).children {
      if let found = systemCause(of: child.value, depth: depth + 1) { return found }
    }
    return nil
  }
}
