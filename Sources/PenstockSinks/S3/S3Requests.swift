import PenstockDelivery
import PenstockLog

/// Builds the signed requests for one bucket.
struct S3Requests {
  /// `https://host[:port]`
  private let origin: String
  private let host: String
  /// What comes before the key in the path.
  private let pathPrefix: String
  private let signer: SigV4
  private let timeout: Duration

  /// Names of the metadata; `x-amz-meta-` is how S3 spells them.
  enum Metadata {
    static let sha256 = "x-amz-meta-penstock-sha256"
    static let length = "x-amz-meta-penstock-length"
  }

  init(_ configuration: S3Configuration) throws(SinkError) {
    let bucket = configuration.bucket
    let endpoint = try DestinationURL(
      configuration.endpoint ?? "https://s3.\(configuration.region).amazonaws.com")
    guard endpoint.path == "/", endpoint.query == nil else {
      throw SinkError("the endpoint \(endpoint.redacted) has a path or a query; the bucket is a setting of its own")
    }
    // A certificate for *.s3.amazonaws.com does not cover a bucket name with dots.
    let usesPath =
      switch configuration.addressing {
      case .path: true
      case .virtualHost: false
      case .automatic: configuration.endpoint != nil || bucket.contains(".")
      }
    host = usesPath ? endpoint.authority : "\(bucket).\(endpoint.authority)"
    origin = "\(endpoint.scheme)://\(host)"
    pathPrefix = usesPath ? "/\(bucket)/" : "/"
    signer = SigV4(credentials: configuration.credentials, region: configuration.region)
    timeout = configuration.timeout
  }

  /// Creates the object unless there is one of that name.
  func create(_ delivery: PendingDelivery, plan: ExportPlan, now: Timestamp) -> TransportRequest {
    let intent = delivery.intent
    let body = delivery.body
    let headers = [
      (name: "host", value: host),
      (name: "content-type", value: plan.compression.contentType),
      (name: "if-none-match", value: "*"),
      (name: Metadata.sha256, value: Digest.hex(body.contentDigest)),
      (name: Metadata.length, value: String(body.contentLength)),
      (name: "x-amz-meta-penstock-count", value: String(body.eventCount)),
      (name: "x-amz-meta-penstock-first", value: String(intent.first.rawValue)),
      (name: "x-amz-meta-penstock-last", value: String(intent.end.rawValue - 1)),
      (name: "x-amz-meta-penstock-log", value: delivery.logID),
      (name: "x-amz-meta-penstock-id", value: intent.id.rawValue),
    ]
    return signed("PUT", key: plan.key, headers, body: body.bytes, now: now)
  }

  /// Asks what stands under the key.
  func head(key: String, now: Timestamp) -> TransportRequest {
    signed("HEAD", key: key, [(name: "host", value: host)], body: [], now: now)
  }

  private func signed(
    _ method: String, key: String, _ headers: [(name: String, value: String)], body: [UInt8], now: Timestamp
  ) -> TransportRequest {
    let path = pathPrefix + key
    let signed = signer.sign(
      SigV4.Request(method: method, path: path, headers: headers, payloadHash: Digest.hex(Digest.sha256(body))),
      at: now)
    let url = origin + PercentEncoding.encode(path.utf8, keepingSlash: true)
    return TransportRequest(method: method, url: url, headers: signed, body: body, timeout: timeout)
  }
}
