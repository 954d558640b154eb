import PenstockDelivery
import PenstockLog
import PenstockSupport

/// The meaning of an S3 response for the delivery: maps status and error code to the next step.
enum S3Verdict: Hashable {
  case outcome(DeliveryOutcome)
  /// An object with this key exists: compare it.
  case compare

  /// The headers of the metadata.
  enum Metadata {
    /// Of the rows; one of both.
    static func digest(_ kind: ContentDigest.Kind) -> String { "x-amz-meta-penstock-" + kind.rawValue }
    static let stored = "x-amz-meta-penstock-stored"
    static let storedSHA256 = "x-amz-meta-penstock-stored-sha256"
    static let length = "x-amz-meta-penstock-length"
    static let log = "x-amz-meta-penstock-log"
  }

  /// Temporary errors that S3 reports with a 3xx or 4xx status, such as damaged or late bytes.
  private static let transient: Set<String> = [
    "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "SlowDown", "InternalError",
    "ServiceUnavailable", "OperationAborted", "TemporaryRedirect",
  ]

  /// After a conditional create.
  static func afterCreate(_ answer: S3Client.Answer) -> S3Verdict {
    switch answer.response.status {
    // S3 can send 200 before it has finished, and report a failure in the body.
    case 200..<300 where answer.detail.code == nil:
      return .outcome(.delivered(receipt: receipt(answer.response)))
    case 412: return .compare
    case 501:
      return .outcome(.refused(reason: answer.detail.reason + "; the store must support If-None-Match on PUT"))
    default: return .outcome(failure(answer))
    }
  }

  /// The outcome of a failed request.
  static func failure(_ answer: S3Client.Answer) -> DeliveryOutcome {
    let detail = answer.detail
    switch answer.response.status {
    // Also a 2xx whose body reports a failure.
    case 200..<300, 408, 425, 429, 500...: return .retry(reason: detail.reason, after: answer.after)
    // ConditionalRequestConflict, OperationAborted: another write to the key was in flight.
    case 409: return .retry(reason: detail.reason, after: answer.after)
    default:
      if let code = detail.code, transient.contains(code) { return .retry(reason: detail.reason, after: answer.after) }
      return .refused(reason: detail.reason + hint(answer))
    }
  }

  /// The status of the object, after a HEAD.
  enum ObjectStatus: Hashable {
    /// The object of this delivery.
    case equal(receipt: String, StoredObject?)
    case missing
    case outcome(DeliveryOutcome)
  }

  static func afterHead(
    _ answer: S3Client.Answer, key: String, body: PreparedBody, isCompressed: Bool
  ) -> ObjectStatus {
    switch answer.response.status {
    case 200..<300: return comparison(answer.response, key: key, body: body, isCompressed: isCompressed)
    case 404: return .missing
    case 408, 409, 425, 429, 500...:
      return .outcome(
        .retry(
          reason: "the store answered \(statusWords(answer.response.status)) when asked for \(key)", after: answer.after
        ))
    default:
      return .outcome(
        .refused(
          reason: "the store answered \(statusWords(answer.response.status)) when asked for \(key); "
            + "the comparison needs permission to read objects (s3:GetObject)"))
    }
  }

  private static func comparison(
    _ response: TransportResponse, key: String, body: PreparedBody, isCompressed: Bool
  ) -> ObjectStatus {
    let expectedDigest = ContentDigest(bytes: body.contentDigest)
    let digest = response.header(Metadata.digest(expectedDigest.kind))
    let length = response.header(Metadata.length)
    let size = response.header("Content-Length")
    let expected = String(body.contentLength)
    // Metadata only describe the object. Its size proves a part of what they say.
    let stored = response.header(Metadata.stored) ?? (isCompressed ? nil : expected)
    let hasSize = size == nil || stored == nil || size == stored
    if digest == expectedDigest.text, length == expected, hasSize {
      // The hash of the object that is there. Another attempt may have compressed the same rows to other bytes.
      let hash = response.header(Metadata.storedSHA256).flatMap { Digest.decodeHex($0) }
      let object = size.flatMap { Int($0) }.map { StoredObject(size: $0, digest: hash) }
      return .equal(receipt: receipt(response) + ", already exists", object)
    }
    let other: ContentDigest.Kind = expectedDigest.kind == .sha256 ? .crc32c : .sha256
    if digest == nil, response.header(Metadata.digest(other)) != nil {
      return .outcome(
        .conflict(
          reason: "the object \(key) exists with a digest of another kind, \(other.rawValue): an earlier delivery of "
            + "this cursor or another version wrote it; it is not overwritten"))
    }
    guard let digest else {
      return .outcome(
        .conflict(reason: "the object \(key) exists, but was not written by Penstock; it is not overwritten"))
    }
    let found = "\(expectedDigest.kind.rawValue) \(digest.prefix(16))…, \(length ?? "?") bytes, \(size ?? "?") stored"
    return .outcome(
      .conflict(reason: "the object \(key) exists with different content (\(found)); it is not overwritten"))
  }

  static func receipt(_ response: TransportResponse) -> String {
    response.header("ETag").map { "ETag \($0)" } ?? "HTTP \(response.status)"
  }

  private static func hint(_ answer: S3Client.Answer) -> String {
    switch answer.detail.code {
    case "RequestTimeTooSkewed": "; this machine's clock is wrong, and the response has no date to correct it"
    case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
      "; the region or the endpoint is wrong for this bucket"
        + (answer.response.header("x-amz-bucket-region").map { ", which is in \($0)" } ?? "")
    case "SignatureDoesNotMatch": "; the secret access key is wrong, or a proxy changes the requests"
    case "AccessDenied":
      "; the credentials lack a permission (s3:PutObject, s3:GetObject), or a bucket policy denies access"
    default: ""
    }
  }
}
