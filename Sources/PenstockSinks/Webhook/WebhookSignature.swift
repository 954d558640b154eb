public import PenstockDelivery
import PenstockSupport

/// Signs and verifies webhooks according to Standard Webhooks 1 (HMAC-SHA256, `v1`).
///
/// The signed text is `id.timestamp.body`. For a delivery by GET, the body is the event: the query parameter's value,
/// decoded. Source: the Standard Webhooks specification, "Signature scheme" and "Verifying signatures".
public struct WebhookSignature: Sendable {
  /// Why a request is not authentic.
  public enum VerificationError: String, Error, Sendable, CustomStringConvertible {
    case missingHeader = "webhook-id, webhook-timestamp or webhook-signature is missing"
    case invalidTimestamp = "webhook-timestamp is not a number of seconds"
    case tooOld = "webhook-timestamp is too long ago"
    case tooNew = "webhook-timestamp is in the future"
    case noMatch = "no signature matches"
    public var description: String { rawValue }
  }

  private let keys: [[UInt8]]

  /// - Parameter secrets: In base64, with or without the prefix `whsec_`; at least 24 decoded bytes each. Every secret
  ///   signs, and a signature by any of them is valid.
  /// - Throws: `SinkError` for an invalid secret, or none.
  public init(secrets: [Secret]) throws(SinkError) {
    var keys: [[UInt8]] = []
    for secret in secrets {
      let text = secret.revealed
      let encoded = text.hasPrefix("whsec_") ? String(text.dropFirst(6)) : text
      guard let key = Digest.decodeBase64(encoded) else {
        throw SinkError("a webhook secret must be base64, with or without whsec_ before it")
      }
      guard key.count >= 24 else {
        throw SinkError("a webhook secret must be at least 24 bytes before base64; this one has \(key.count)")
      }
      keys.append(key)
    }
    guard !keys.isEmpty else { throw SinkError("signing needs at least one secret") }
    self.keys = keys
  }

  /// The value of `webhook-signature`: one `v1,…` for each secret, separated by spaces.
  ///
  /// - Parameters:
  ///   - id: As in `webhook-id`.
  ///   - timestamp: Seconds since 1970, as in `webhook-timestamp`.
  ///   - body: The request's, as it is sent.
  public func header(id: String, timestamp: Int64, body: [UInt8]) -> String {
    keys.map { "v1," + Digest.base64(Self.code($0, id, String(timestamp), body)) }.joined(separator: " ")
  }

  /// Verifies that one of the secrets signed the request, at most `tolerance` seconds before or after `now` (seconds
  /// since 1970). Compares signatures in constant time.
  ///
  /// - Throws: ``VerificationError`` if the request is not authentic.
  public func verify(
    id: String?, timestamp: String?, signature: String?, body: [UInt8], now: Int64, tolerance: Int64 = 300
  ) throws(VerificationError) {
    guard let id, let timestamp, let signature, !id.isEmpty else { throw .missingHeader }
    guard let time = Int64(timestamp), time >= 0 else { throw .invalidTimestamp }
    if time < now - tolerance { throw .tooOld }
    if time > now + tolerance { throw .tooNew }
    let offered = signature.split(separator: " ").compactMap { part in
      part.hasPrefix("v1,") ? Digest.decodeBase64(String(part.dropFirst(3))) : nil
    }
    var matches = false
    for key in keys {
      let expected = Self.code(key, id, timestamp, body)
      for code in offered where Digest.equalInConstantTime(code, expected) { matches = true }
    }
    guard matches else { throw .noMatch }
  }

  private static func code(_ key: [UInt8], _ id: String, _ timestamp: String, _ body: [UInt8]) -> [UInt8] {
    Digest.hmac(key: key, Array("\(id).\(timestamp).".utf8), body)
  }
}

extension WebhookSignature: CustomStringConvertible, CustomReflectable {
  public var description: String { "signature by \(keys.count) secret\(keys.count == 1 ? "" : "s")" }
  public var customMirror: Mirror { Mirror(self, children: ["secrets": keys.count]) }
}
