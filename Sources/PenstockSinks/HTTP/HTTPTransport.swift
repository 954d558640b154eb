/// One HTTP request, complete in memory.
public struct TransportRequest: Sendable {
  public var method: String
  /// Absolute, percent-encoded.
  public var url: String
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// For the whole exchange: looking the host up, connecting, sending and the answer.
  public var timeout: Duration
  /// How much of the answer's body is wanted; ``TransportResponse/bodyLimit`` unless set.
  public var responseLimit = TransportResponse.bodyLimit
  /// How long the body of a 2xx answer is waited for, once its head has come; nil: as long as ``timeout`` allows. What
  /// has come by then counts as the body.
  public var successBodyTime: Duration?

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

/// Headers, and the query of an address, hold keys: they show in no description and no dump.
extension TransportRequest: CustomStringConvertible, CustomReflectable {
  public var description: String {
    let address = url.prefix { $0 != "?" }
    return "\(method) \(address), \(body.count) bytes"
  }

  public var customMirror: Mirror {
    Mirror(self, children: ["request": description, "headers": headers.map(\.name), "timeout": timeout])
  }
}

/// What the server answered.
public struct TransportResponse: Sendable {
  public var status: Int
  public var headers: [(name: String, value: String)]
  /// The first ``TransportRequest/responseLimit`` bytes of the body at most; fewer also when the connection ended early.
  public var body: [UInt8]
  /// What is known of the connection it came over.
  public var connection: TransportConnection?

  /// 64 KiB: what a sink reads of an answer, unless it asks for more.
  public static let bodyLimit = 65_536

  public init(
    status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
    connection: TransportConnection? = nil
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.connection = connection
  }

  /// The first header of that name, whatever its case.
  public func header(_ name: String) -> String? {
    let name = name.lowercased()
    return headers.first { $0.name.lowercased() == name }?.value
  }
}

/// How an answer came.
public struct TransportConnection: Sendable, Hashable {
  /// As in `HTTP/1.1` or `HTTP/2.0`.
  public var httpVersion: String
  /// As in `1.3`; nil without TLS.
  public var tlsVersion: String?
  /// Where the connection went, if it was pinned there.
  public var address: String?

  public init(httpVersion: String, tlsVersion: String? = nil, address: String? = nil) {
    self.httpVersion = httpVersion
    self.tlsVersion = tlsVersion
    self.address = address
  }
}

/// The seam between sinks and the network.
///
/// An implementation sends each request once, follows no redirect, and hands back whatever status came. It may keep
/// connections. Calls may overlap.
public protocol HTTPTransport: Sendable {
  /// Sends the request and returns the answer.
  ///
  /// Throws when no answer came. The server may have acted on the request all the same: only
  /// ``TransportError/Kind/connectionRefused``, ``TransportError/Kind/unreachable``, ``TransportError/Kind/unknownHost``,
  /// ``TransportError/Kind/tls`` and ``TransportError/Kind/forbiddenAddress`` say that it cannot have.
  func send(_ request: TransportRequest) async throws(TransportError) -> TransportResponse

  /// Lets go of connections. Called once, by whoever made the transport, after the last `send` has returned.
  func close() async
}
