import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization

/// The ``HTTPTransport`` over async-http-client: pooled connections, TLS, HTTP/2 where a server offers it.
public final class AsyncHTTPTransport: HTTPTransport {
  private let client: HTTPClient
  private let isClosed = Atomic(false)

  /// - Parameter connectTimeout: for the TCP connection and the TLS handshake.
  public init(connectTimeout: Duration = .seconds(10)) {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .nanoseconds(connectTimeout.wholeNanoseconds)))
    // Retrying is the delivery's work; here it would only hide for how long nobody has been listening.
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  deinit {
    // A client that is dropped without a shutdown stops the process in debug builds.
    guard !isClosed.load(ordering: .acquiring) else { return }
    client.shutdown { _ in }
  }

  public func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse {
    do {
      let deadline = NIODeadline.now() + .nanoseconds(request.timeout.wholeNanoseconds)
      let response = try await client.execute(Self.translated(request), deadline: deadline)
      return TransportResponse(
        status: Int(response.status.code),
        headers: response.headers.map { (name: $0.name, value: $0.value) },
        body: await Self.prefix(of: response.body, limit: request.responseLimit))
    } catch {
      throw TransportError(describing: error)
    }
  }

  public func close() async {
    guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    // A failure to close cleanly means a request was cut off, and its sender has been told.
    try? await client.shutdown()
  }

  private static func translated(_ request: TransportRequest) -> HTTPClientRequest {
    var translated = HTTPClientRequest(url: request.url)
    translated.method = HTTPMethod(rawValue: request.method)
    for (name, value) in request.headers { translated.headers.add(name: name, value: value) }
    if !request.body.isEmpty { translated.body = .bytes(ByteBuffer(bytes: request.body)) }
    return translated
  }

  /// What of the body matters. The status has been read by now, so a body that breaks off changes nothing.
  private static func prefix(of body: HTTPClientResponse.Body, limit: Int) async -> [UInt8] {
    var bytes: [UInt8] = []
    do {
      for try await chunk in body {
        bytes.append(contentsOf: chunk.readableBytesView.prefix(limit - bytes.count))
        if bytes.count == limit { break }
      }
    } catch {}
    return bytes
  }
}

extension Duration {
  /// Saturates at the ends of the range.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds > 0 ? .max : .min }
    return scaled.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
  }
}

extension TransportError {
  fileprivate init(describing error: any Error) {
    switch error {
    case let error as TransportError: self = error
    case is CancellationError: self.init(.cancelled)
    case let error as HTTPClientError: self.init(client: error)
    case let error as ChannelError: self.init(channel: error)
    default: self.init(system: error)
    }
  }

  private init(client error: HTTPClientError) {
    switch error {
    case .connectTimeout, .readTimeout, .writeTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout:
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
    case .connectTimeout: self.init(.timeout, "connecting")
    case .eof, .ioOnClosedChannel, .alreadyClosed, .inputClosed, .outputClosed: self.init(.connectionLost)
    default: self.init(.other, "\(error)")
    }
  }

  private init(system error: any Error) {
    let type = String(reflecting: Swift.type(of: error))
    if type.hasPrefix("NIOSSL.") {
      self.init(.tls, "\(error)")
    } else if let cause = Self.systemCause(of: error, depth: 0) {
      switch cause.errnoCode {
      case Self.refused: self.init(.connectionRefused)
      case Self.reset, Self.brokenPipe: self.init(.connectionLost)
      default: self.init(.other, "\(cause)")
      }
    } else if type.contains("NIOConnectionError") {
      self.init(.unknownHost)
    } else {
      self.init(.other, type)
    }
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
