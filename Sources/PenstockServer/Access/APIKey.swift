import PenstockSupport

/// A stored API key: its rights, and the hash of its secret.
///
/// A client sends the token `psk_ID_SECRET`. The id finds the key; the secret is 256 random bits, stored as a plain
/// SHA-256. Slow, salted hashes protect passwords, which can be guessed. 256 random bits cannot, and a slow hash would
/// make every request expensive.
public struct APIKey: Sendable, Hashable, Codable {
  /// 16 hexadecimal digits; not secret.
  public let id: String
  /// The name that operators gave it.
  public var name: String
  public var role: Role
  /// The only app whose events and keys it may access; nil: all.
  public var appID: String?
  /// SHA-256 of the secret, in hexadecimal.
  package var hash: String
  /// The secret before the last rotation, while it is still valid.
  package var former: Former?
  public var limit: RateLimit?
  /// Seconds since 1970.
  public var createdAt: Int64
  /// When it was revoked, in seconds since 1970; nil while it is valid.
  public var revokedAt: Int64?

  package struct Former: Sendable, Hashable, Codable {
    package var hash: String
    /// Valid before this time; seconds since 1970.
    package var until: Int64
  }

  /// The request rate that a key may use.
  public struct RateLimit: Sendable, Hashable, Codable {
    /// How many requests a second.
    public var requestsPerSecond: Double
    /// How many requests may arrive at once after a pause.
    public var burst: Double

    /// - Parameters:
    ///   - requestsPerSecond: 0.001 to 1e9.
    ///   - burst: at least 1.
    public init(requestsPerSecond: Double, burst: Double? = nil) {
      self.requestsPerSecond = requestsPerSecond
      self.burst = max(1, burst ?? requestsPerSecond)
    }
  }

  /// The properties of a new key.
  public struct Request: Sendable, Hashable {
    /// A name for operators.
    public var name: String
    /// What the key may do.
    public var role: Role
    /// The only `app_id` that the key may send; nil: any.
    public var appID: String?
    /// The request rate; nil: no limit.
    public var limit: RateLimit?

    /// A request; nothing is created yet.
    public init(name: String, role: Role, appID: String? = nil, limit: RateLimit? = nil) {
      self.name = name
      self.role = role
      self.appID = appID
      self.limit = limit
    }

    /// Why no such key can be created; nil when it can.
    package var complaint: String? {
      if name.isEmpty || name.utf8.count > 100 || name.unicodeScalars.contains(where: { $0.value < 0x20 }) {
        return "a key's name must have 1 to 100 bytes and no control characters"
      }
      if role == .appAdmin, appID == nil { return "a key with the role appAdmin must name its app" }
      if role == .companyAdmin, appID != nil { return "a key with the role companyAdmin cannot be limited to one app" }
      if let appID, appID.isEmpty || appID.utf8.count > 200 { return "an app's id must have 1 to 200 bytes" }
      if let limit, !(0.001...1e9 ~= limit.requestsPerSecond && 1...1e9 ~= limit.burst) {
        return "a rate must be 0.001 to 1000000000 requests a second, and a burst 1 to 1000000000"
      }
      return nil
    }
  }

  package var isRevoked: Bool { revokedAt != nil }

  /// The token of a key. Only the client stores it.
  package static func token(id: String, secret: String) -> String { "psk_\(id)_\(secret)" }

  /// The id and the secret in a token; nil when its form is wrong.
  package static func parts(of token: String) -> (id: String, secret: String)? {
    let parts = token.utf8.split(separator: UInt8(ascii: "_"), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].elementsEqual("psk".utf8), parts[1].count == 16, parts[2].count == 64 else {
      return nil
    }
    return (String(decoding: Array(parts[1]), as: UTF8.self), String(decoding: Array(parts[2]), as: UTF8.self))
  }

  package static func hash(of secret: String) -> [UInt8] { Digest.sha256(Array(secret.utf8)) }
}
