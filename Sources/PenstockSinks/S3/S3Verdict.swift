import PenstockDelivery
import PenstockLog
import PenstockSupport

/// What an answer of S3 means for the delivery: a table, from status and error code to what is done next.
enum S3Verdict: Hashable {
  case outcome(DeliveryOutcome)
  /// Something stands under the key: ask what it is.
  case compare

  /// Names of the metadata; `x-amz-meta-` is how S3 spells them.
  enum Metadata {
    static let sha256 = "x-amz-meta-penstock-sha256"
    static let length = "x-amz-meta-penstock-length"
    static let log = "x-amz-meta-penstock-log"
  }

  /// Errors that S3 reports as 400 but that say nothing against the request: the bytes were damaged or late on the way.
  private static let transient: Set<String> = [
    "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "SlowDown", "InternalError",
    "ServiceUnavailable", "OperationAborted", "TemporaryRedirect",
  ]

  /// After a request that creates an object unless there is one of its name.
  static func afterCreate(_ answer: S3Client.Answer) -> S3Verdict {
    switch answer.response.status {
    // Some requests are answered 200 before they are done, with a document that says how they failed.
    case 200..<300 where answer.detail.code == nil:
      return .outcome(.delivered(receipt: receipt(answer.response)))
    case 412: return .compare
    case 501:
      return .outcome(.refused(reason: answer.detail.reason + "; the store must support If-None-Match on PUT"))
    default: return .outcome(failure(answer))
    }
  }

  /// What a request that did not do what it should means.
  static func failure(_ answer: S3Client.Answer) -> DeliveryOutcome {
    let detail = answer.detail
    switch answer.response.status {
    // A success that says it is none, too.
    case 200..<300, 408, 425, 429, 500...: return .retry(reason: detail.reason, after: answer.after)
    // ConditionalRequestConflict, OperationAborted: another write to the key was under way.
    case 409: return .retry(reason: detail.reason, after: answer.after)
    default:
      if let code = detail.code, transient.contains(code) { return .retry(reason: detail.reason, after: answer.after) }
      return .refused(reason: detail.reason + hint(answer))
    }
  }

  /// What stands under the key, after a HEAD.
  enum Standing: Hashable {
    /// Ours, with its size in the store.
    case equal(receipt: String, size: Int?)
    case missing
    case outcome(DeliveryOutcome)
  }

  static func afterHead(
    _ answer: S3Client.Answer, key: String, body: PreparedBody, isCompressed: Bool
  ) -> Standing {
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
          reason: "the store answered \(statusWords(answer.response.status)) when asked what stands under \(key); "
            + "comparing needs the right to read objects (s3:GetObject)"))
    }
  }

  private static func comparison(
    _ response: TransportResponse, key: String, body: PreparedBody, isCompressed: Bool
  ) -> Standing {
    let digest = response.header(Metadata.sha256)
    let length = response.header(Metadata.length)
    let size = response.header("Content-Length")
    let expected = String(body.contentLength)
    // Metadata says what was meant; of an object that is not compressed, its size says what there is.
    let hasSize = isCompressed || size == nil || size == expected
    if digest == Digest.hex(body.contentDigest), length == expected, hasSize {
      return .equal(receipt: receipt(response) + ", already there", size: size.flatMap { Int($0) })
    }
    guard let digest else {
      return .outcome(
        .conflict(reason: "an object \(key) exists that was not written by Penstock; it is not overwritten"))
    }
    let found = "SHA-256 \(digest.prefix(16))…, \(length ?? "?") bytes"
    return .outcome(.conflict(reason: "an object \(key) exists with other content (\(found)); it is not overwritten"))
  }

  static func receipt(_ response: TransportResponse) -> String {
    response.header("ETag").map { "ETag \($0)" } ?? "HTTP \(response.status)"
  }

  private static func hint(_ answer: S3Client.Answer) -> String {
    switch answer.detail.code {
    case "RequestTimeTooSkewed": "; this machine's clock is wrong, and the store's answer has no date to go by"
    case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
      "; region or endpoint are not the bucket's"
        + (answer.response.header("x-amz-bucket-region").map { ", which is in \($0)" } ?? "")
    case "SignatureDoesNotMatch": "; the secret access key is wrong, or something changes requests on the way"
    case "AccessDenied": "; the credentials lack a right (s3:PutObject, s3:GetObject), or a bucket policy forbids it"
    default: ""
    }
  }
}
