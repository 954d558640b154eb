import PenstockDelivery
import PenstockLog

/// What an answer of S3 means for the delivery: a table, from status and error code to what is done next.
enum S3Verdict: Hashable {
  case outcome(DeliveryOutcome)
  /// Something stands under the key: ask what it is.
  case compare

  /// Errors that S3 reports as 400 but that say nothing against the request: the bytes were damaged or late on the way.
  private static let transient: Set<String> = [
    "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "SlowDown", "InternalError",
    "ServiceUnavailable", "OperationAborted", "TemporaryRedirect",
  ]

  /// After the PUT with `If-None-Match: *`.
  static func afterCreate(_ response: TransportResponse, detail: S3Detail, now: Timestamp) -> S3Verdict {
    let after = response.header("Retry-After").flatMap { RetryAfter.parse($0, now: now) }
    switch response.status {
    case 200, 201, 204: return .outcome(.delivered(receipt: receipt(response)))
    case 412: return .compare
    // ConditionalRequestConflict: another write to the key was under way.
    case 409 where detail.code != "BucketAlreadyExists": return .outcome(.retry(reason: detail.reason, after: after))
    case 501: return .outcome(.refused(reason: detail.reason + "; the store must support If-None-Match on PUT"))
    case 408, 425, 429, 500...: return .outcome(.retry(reason: detail.reason, after: after))
    default:
      if let code = detail.code, transient.contains(code) {
        return .outcome(.retry(reason: detail.reason, after: after))
      }
      return .outcome(.refused(reason: detail.reason + hint(detail.code)))
    }
  }

  /// After the HEAD that follows a 412.
  static func afterHead(
    _ response: TransportResponse, key: String, body: PreparedBody, isCompressed: Bool, now: Timestamp
  ) -> DeliveryOutcome {
    let after = response.header("Retry-After").flatMap { RetryAfter.parse($0, now: now) }
    switch response.status {
    case 200..<300: return comparison(response, key: key, body: body, isCompressed: isCompressed)
    case 404: return .retry(reason: "the object \(key) was there and is not any more", after: after)
    case 408, 425, 429, 500...:
      return .retry(reason: "the store answered \(response.status) when asked for \(key)", after: after)
    default:
      return .refused(
        reason: "an object \(key) exists, and the store answered \(response.status) when asked what it is; "
          + "comparing needs the right to read objects (s3:GetObject)")
    }
  }

  private static func comparison(
    _ response: TransportResponse, key: String, body: PreparedBody, isCompressed: Bool
  ) -> DeliveryOutcome {
    let digest = response.header(S3Requests.Metadata.sha256)
    let length = response.header(S3Requests.Metadata.length)
    // Metadata says what was meant; of an object that is not compressed, its size says what there is.
    let size = isCompressed ? nil : response.header("Content-Length")
    let expected = String(body.contentLength)
    if digest == Digest.hex(body.contentDigest), length == expected, size == nil || size == expected {
      return .delivered(receipt: receipt(response) + ", already there")
    }
    guard let digest else {
      return .conflict(reason: "an object \(key) exists that was not written by Penstock; it is not overwritten")
    }
    let found = "SHA-256 \(digest.prefix(16))…, \(length ?? "?") bytes"
    return .conflict(reason: "an object \(key) exists with other content (\(found)); it is not overwritten")
  }

  private static func receipt(_ response: TransportResponse) -> String {
    response.header("ETag").map { "ETag \($0)" } ?? "HTTP \(response.status)"
  }

  private static func hint(_ code: String?) -> String {
    switch code {
    case "RequestTimeTooSkewed": "; this machine's clock is wrong"
    case "PermanentRedirect", "AuthorizationHeaderMalformed": "; region or endpoint are not the bucket's"
    case "SignatureDoesNotMatch": "; the secret access key is wrong, or something changes requests on the way"
    default: ""
    }
  }
}

/// An answer of S3 in words, without secrets.
struct S3Detail: Hashable {
  let code: String?
  let reason: String

  init(_ response: TransportResponse, credentials: S3Credentials) {
    let body = S3ErrorBody(response.body)
    code = body?.code
    let secrets = [credentials.secretAccessKey] + (credentials.sessionToken.map { [$0] } ?? [])
    let words = body.map { "\($0.code): \($0.message ?? "")" } ?? String(decoding: response.body, as: UTF8.self)
    let excerpt = OutcomeClassifier.excerpt(Array(words.utf8), secrets: secrets)
    reason = "the store answered \(response.status)" + (excerpt.isEmpty ? "" : ", \(excerpt)")
  }
}
