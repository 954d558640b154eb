/// One HTTP request, complete in memory.
public struct TransportRequest: Sendable {
  /// The HTTP method, as in `POST`.
  public var method: String
  /// Absolute, percent-encoded.
  public var url: String
  /// The headers, in the order in which they are sent.
  public var headers: [(name: String, value: String)]
  /// The bytes of the body.
  public var body: [UInt8]
  /// The limit for the whole exchange: lookup, connection, request and response.
  public var timeout: Duration
  /// The maximum bytes of the response body to read. Default: ``TransportResponse/bodyLimit``.
  public var responseLimit = TransportResponse.bodyLimit
  /// The limit for the body of a 2xx response, counted from its head; nil: only ``timeout`` applies. The bytes received
  /// until then are the body.
  public var successBodyTime: Duration?

  /// A request with the default limit for the response's body.
  public init(
    method: String, url: String, headers: [(name: String, value: String)], body: [UInt8] = [], timeout: Duration
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.timeout = timeout
  }

  var isSecure: Bool { url.lowercased().hasPrefix("https:") }
}

/// Header values and the query can contain keys, so no description and no dump shows them.
extension TransportRequest: CustomStringConvertible, CustomReflectable {
  public var description: String {
    let address = url.prefix { $0 != "?" }
    return "\(method) \(address), \(body.count) bytes"
  }

  public var customMirror: Mirror {
    Mirror(self, children: ["request": description, "headers": headers.map(\.name), "timeout": timeout])
  }
}

/// A server's response.
public struct TransportResponse: Sendable {
  /// The HTTP status, as in 200.
  public var status: Int
  /// The headers, in the order in which they came.
  public var headers: [(name: String, value: String)]
  /// At most the first ``TransportRequest/responseLimit`` bytes of the body; fewer if the connection ended early.
  public var body: [UInt8]
  /// The connection, if it is known.
  public var connection: TransportConnection?

  /// The default limit of a response body: 64 KiB.
  public static let bodyLimit = 65_536

  /// A response with these values.
  public init(
    status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
    connection: TransportConnection? = nil
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.connection = connection
  }

  /// The first header with this name, ignoring case. O(headers).
  public func header(_ name: String) -> String? {
    let name = name.lowercased()
    return headers.first { $0.name.lowercased() == name }?.value
  }
}

/// The connection of a response.
public struct TransportConnection: Sendable, Hashable {
  /// As in `HTTP/1.1` or `HTTP/2.0`.
  public var httpVersion: String
  /// As in `1.3`; nil without TLS.
  public var tlsVersion: String?
  /// The IP address, if the connection was pinned to one.
  public var address: String?

  /// A connection with these values.
  public init(httpVersion: String, tlsVersion: String? = nil, address: String? = nil) {
    self.httpVersion = httpVersion
    self.tlsVersion = tlsVersion
    self.address = address
  }
}

/// The interface between sinks and the network.
///
/// An implementation sends each request once, does not follow redirects, and returns every status. It may keep
/// connections. Calls may overlap.
public protocol HTTPTransport: Sendable {
  /// Sends the request and returns the response.
  ///
  /// Throws if there is no response. The server may still have processed the request. Only
  /// ``TransportError/Kind/connectionRefused``, ``TransportError/Kind/unreachable``,
  /// ``TransportError/Kind/unknownHost``, ``TransportError/Kind/tls`` and ``TransportError/Kind/forbiddenAddress``
  /// exclude that.
  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse

  /// Closes all connections. The owner of the transport calls this once, after the last `send` has returned.
  func close() async
}
