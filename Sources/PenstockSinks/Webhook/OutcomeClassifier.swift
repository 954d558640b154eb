package import PenstockDelivery
package import PenstockLog

/// Maps a receiver's status to the outcome of the delivery.
///
/// | status | outcome |
/// |---|---|
/// | 2xx | delivered |
/// | 3xx | refused: redirects are not followed |
/// | 400, 413, 422 | rejected: the content is at fault, so a part of it may be delivered |
/// | 408, 425, 429, 5xx | retried, not before `Retry-After` |
/// | 410 | disabled |
/// | every other 4xx | refused: an operator must act, and nothing is dropped |
/// | everything else | retried |
package enum OutcomeClassifier {
  /// - Parameters:
  ///   - retryAfter: The value of the header, if there is one.
  ///   - detail: An excerpt of the response for messages, bounded and without secrets.
  package static func classify(
    status: Int, retryAfter: String?, detail: String, now: Timestamp
  ) -> DeliveryOutcome {
    let answered = "the receiver answered \(statusWords(status))"
    let reason = detail.isEmpty ? answered : "\(answered): \(detail)"
    switch status {
    case 200..<300: return .delivered(receipt: "HTTP \(status)")
    case 300..<400: return .refused(reason: reason + "; redirects are not followed, use the final address")
    case 410: return .disabled(reason: reason)
    case 408, 425, 429, 500...:
      return .retry(reason: reason, after: retryAfter.flatMap { RetryAfter.parse($0, now: now) })
    case 400 where isAboutTheConnection(detail): return .refused(reason: reason)
    case 400, 413, 422: return .rejected(reason: reason)
    case 400..<500: return .refused(reason: reason)
    default: return .retry(reason: "\(reason), which is not a final status", after: nil)
    }
  }

  /// Whether a 400 is about the connection. nginx sends it for a missing or wrong client certificate, and for HTTP on a
  /// TLS port. As a rejection of the content, it would make every record a dead letter, one by one.
  private static func isAboutTheConnection(_ detail: String) -> Bool {
    ["No required SSL certificate was sent", "The SSL certificate error", "plain HTTP request was sent to HTTPS port"]
      .contains { detail.contains($0) }
  }

  package static func classify(_ error: TransportError) -> DeliveryOutcome {
    switch error.kind {
    case .invalidRequest, .forbiddenAddress: .refused(reason: error.description)
    default: .retry(reason: error.description, after: nil)
    }
  }

  /// The start of a response as one line of printable text.
  package static func excerpt(_ body: [UInt8], secrets: [Secret], limit: Int = 300) -> String {
    // Search more than is shown, so that a secret at the end of the excerpt is found.
    let text = Secret.redact(String(decoding: body.prefix(limit * 4), as: UTF8.self), secrets)
    let words = text.split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } }
    let line = words.joined(separator: " ")
    return line.count > limit ? line.prefix(limit) + "…" : line
  }
}
