package import PenstockDelivery
package import PenstockLog

/// What a receiver's status means for the delivery.
package enum OutcomeClassifier {
  /// - Parameters:
  ///   - retryAfter: the header's value, if there was one.
  ///   - detail: what the receiver said, for people; already bounded and free of secrets.
  package static func classify(
    status: Int, retryAfter: String?, detail: String, now: Timestamp
  ) -> DeliveryOutcome {
    let reason = detail.isEmpty ? "the receiver answered \(status)" : "the receiver answered \(status): \(detail)"
    switch status {
    case 200..<300: return .delivered(receipt: "HTTP \(status)")
    case 300..<400: return .refused(reason: reason + "; redirects are not followed, use the final address")
    case 401, 403, 404: return .refused(reason: reason)
    case 410: return .disabled(reason: reason)
    case 408, 425, 429, 500...:
      return .retry(reason: reason, after: retryAfter.flatMap { RetryAfter.parse($0, now: now) })
    case 400..<500: return .rejected(reason: reason)
    default: return .retry(reason: "\(reason), which is no final status", after: nil)
    }
  }

  package static func classify(_ error: TransportError) -> DeliveryOutcome {
    switch error.kind {
    case .invalidRequest: .refused(reason: error.description)
    default: .retry(reason: error.description, after: nil)
    }
  }

  /// The beginning of an answer as one line of printable text.
  package static func excerpt(_ body: [UInt8], secrets: [Secret], limit: Int = 300) -> String {
    // More is read than is shown, so that a secret at the end of the excerpt is recognised.
    let text = Secret.redact(String(decoding: body.prefix(limit * 4), as: UTF8.self), secrets)
    let words = text.split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } }
    let line = words.joined(separator: " ")
    return line.count > limit ? line.prefix(limit) + "…" : line
  }
}
