import PenstockDelivery
import PenstockLog
import PenstockSupport

/// One unsigned request to a bucket.
struct S3Request: Sendable {
  var method: String
  /// Nil for the bucket itself.
  var key: String?
  /// Not percent-encoded.
  var query: [(name: String, value: String)] = []
  var headers: [(name: String, value: String)] = []
  var body: [UInt8] = []
  /// SHA-256 of the body, where the caller knows it.
  var bodyDigest: [UInt8]?
  var responseLimit = TransportResponse.bodyLimit
}

/// The address of a bucket.
struct S3Address: Sendable, Hashable {
  /// `https://host[:port]`
  let origin: String
  let host: String
  /// The path of the bucket; ends with `/`.
  let path: String
  /// Whether the bucket is in the path.
  private let usesPath: Bool

  init(_ configuration: S3Configuration) throws(SinkError) {
    let bucket = configuration.bucket
    let endpoint = try DestinationURL(
      configuration.endpoint ?? "https://s3.\(configuration.region).amazonaws.com")
    guard endpoint.query == nil, !endpoint.path.contains("%") else {
      throw SinkError("the endpoint \(endpoint.redacted) has a query or percent signs, which is not supported")
    }
    // The store's base path is part of every request, and of the signature.
    let base = endpoint.path.hasSuffix("/") ? String(endpoint.path.dropLast()) : endpoint.path
    guard base.split(separator: "/").last.map(String.init) != bucket else {
      throw SinkError("the endpoint \(endpoint.redacted) ends with the bucket; set the bucket only in its own setting")
    }
    // A certificate for *.s3.amazonaws.com does not cover a bucket name with dots.
    usesPath =
      switch configuration.addressing {
      case .path: true
      case .virtualHost: false
      case .automatic: configuration.endpoint != nil || bucket.contains(".")
      }
    host = usesPath ? endpoint.authority : "\(bucket).\(endpoint.authority)"
    origin = "\(endpoint.scheme)://\(host)"
    path = base + (usesPath ? "/\(bucket)/" : "/")
  }

  /// Signs a request.
  func signed(
    _ request: S3Request, region: String, credentials: S3Credentials, timeout: Duration, at time: Timestamp
  ) -> TransportRequest {
    // A request for the bucket itself has no slash after the bucket.
    let path = request.key.map { self.path + $0 } ?? (usesPath ? String(self.path.dropLast()) : self.path)
    let query = SigV4.canonicalQuery(request.query)
    let headers = SigV4(credentials: credentials, region: region).sign(
      SigV4.Request(
        method: request.method, path: path, query: request.query,
        headers: [(name: "host", value: host)] + request.headers,
        payloadHash: Digest.hex(request.bodyDigest ?? Digest.sha256(request.body))),
      at: time)
    let url = origin + PercentEncoding.encode(path.utf8, keepingSlash: true) + (query.isEmpty ? "" : "?" + query)
    var signed = TransportRequest(
      method: request.method, url: url, headers: headers, body: request.body, timeout: timeout)
    signed.responseLimit = request.responseLimit
    return signed
  }
}
