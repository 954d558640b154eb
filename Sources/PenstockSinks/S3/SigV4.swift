import PenstockLog
import PenstockSupport

/// AWS Signature Version 4 in the `Authorization` header, for S3.
///
/// Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version
/// 4)", "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
struct SigV4 {
  let credentials: S3Credentials
  let region: String
  var service = "s3"

  /// The signed parts of a request, not percent-encoded.
  struct Request {
    var method: String
    /// Begins with `/`.
    var path: String
    var query: [(name: String, value: String)] = []
    /// Every one is signed; `host` must be among them.
    var headers: [(name: String, value: String)]
    /// SHA-256 of the body, in hexadecimal.
    var payloadHash: String
  }

  /// The request's headers with those of the signature: `x-amz-date`, `x-amz-content-sha256`,
  /// `x-amz-security-token` for temporary credentials, and `Authorization`.
  func sign(_ request: Request, at time: Timestamp) -> [(name: String, value: String)] {
    var request = request
    request.headers.append((name: "x-amz-content-sha256", value: request.payloadHash))
    request.headers.append((name: "x-amz-date", value: Self.dateText(time)))
    if let token = credentials.sessionToken {
      request.headers.append((name: "x-amz-security-token", value: token.revealed))
    }
    return request.headers + [(name: "Authorization", value: authorization(of: request, at: time))]
  }

  /// The value of `Authorization` for a request that has all its other headers.
  func authorization(of request: Request, at time: Timestamp) -> String {
    let date = Self.dateText(time)
    let scope = "\(date.prefix(8))/\(region)/\(service)/aws4_request"
    let canonical = Self.canonicalRequest(request)
    let text = "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n" + Digest.hex(Digest.sha256(Array(canonical.utf8)))
    let signature = Digest.hex(Digest.hmac(key: signingKey(day: String(date.prefix(8))), Array(text.utf8)))
    let names = Self.canonicalHeaders(request.headers).map(\.name).joined(separator: ";")
    return
      "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope),SignedHeaders=\(names),Signature=\(signature)"
  }

  private func signingKey(day: String) -> [UInt8] {
    var key = Array("AWS4\(credentials.secretAccessKey.revealed)".utf8)
    for part in [day, region, service, "aws4_request"] { key = Digest.hmac(key: key, Array(part.utf8)) }
    return key
  }

  static func canonicalRequest(_ request: Request) -> String {
    let headers = canonicalHeaders(request.headers)
    return [
      request.method,
      PercentEncoding.encode(request.path.utf8, keepingSlash: true),
      canonicalQuery(request.query),
      headers.map { "\($0.name):\($0.value)\n" }.joined(),
      headers.map(\.name).joined(separator: ";"),
      request.payloadHash,
    ].joined(separator: "\n")
  }

  /// Percent-encoded, then sorted by name and value, bytewise.
  static func canonicalQuery(_ query: [(name: String, value: String)]) -> String {
    query
      .map { (PercentEncoding.encode($0.name.utf8), PercentEncoding.encode($0.value.utf8)) }
      .sorted { $0 < $1 }
      .map { "\($0.0)=\($0.1)" }
      .joined(separator: "&")
  }

  /// Sorted lowercase names; values trimmed, with single spaces. The values of headers with the same name are joined
  /// with commas, in their original order.
  static func canonicalHeaders(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
    var values: [String: String] = [:]
    for header in headers {
      let words = header.value.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
      let name = header.name.lowercased()
      values[name] = values[name].map { "\($0),\(words)" } ?? words
    }
    return values.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
  }

  /// As in `20130524T000000Z`.
  static func dateText(_ time: Timestamp) -> String {
    let utc = CivilTime(time)
    let day = utc.year.padded(4) + utc.month.padded(2) + utc.day.padded(2)
    return "\(day)T\(utc.hour.padded(2))\(utc.minute.padded(2))\(utc.second.padded(2))Z"
  }
}
