import PenstockSupport

/// A key as it is kept: what it may do, and the hash of its secret.
///
/// The token a client sends is `psk_ID_SECRET`: the id finds the key, the secret is 256 random bits. Of those a plain SHA-256 is
/// kept. Slow, salted hashes exist for what people choose, which can be guessed; 256 random bits cannot, so a slow hash
/// would only make every request dear.
public struct APIKey: Sendable, Hashable, Codable {
  /// 16 hexadecimal digits; not secret.
  public let id: String
  /// What people call it.
  public var name: String
  public var role: Role
  /// The only app whose events and keys it is for; nil: all.
  public var appID: String?
  /// SHA-256 of the secret, in hexadecimal digits.
  package var hash: String
  /// The secret before the last rotation, as long as it is still taken.
  package var former: Former?
  public var limit: RateLimit?
  /// Seconds since 1970.
  public var createdAt: Int64
  /// When it was revoked; seconds since 1970.
  public var revokedAt: Int64?

  package struct Former: Sendable, Hashable, Codable {
    package var hash: String
    /// Taken before this; seconds since 1970.
    package var until: Int64
  }

  /// How much a key may ask.
  public struct RateLimit: Sendable, Hashable, Codable {
    public var requestsPerSecond: Double
    /// How many requests may come at once after a pause.
    public var burst: Double

    /// - Parameters:
    ///   - requestsPerSecond: 0.001 to 1e9.
    ///   - burst: at least 1.
    public init(requestsPerSecond: Double, burst: Double? = nil) {
      self.requestsPerSecond = requestsPerSecond
      self.burst = max(1, burst ?? requestsPerSecond)
    }
  }

  /// What a key is made from.
  public struct Request: Sendable, Hashable {
    public var name: String
    public var role: Role
    public var appID: String?
    public var limit: RateLimit?

    public init(name: String, role: Role, appID: String? = nil, limit: RateLimit? = nil) {
      self.name = name
      self.role = role
      self.appID = appID
      self.limit = limit
    }

    /// What is wrong with it, in words; nil when nothing is.
    package var complaint: String? {
      if name.isEmpty || name.utf8.count > 100 || name.unicodeScalars.contains(where: { $0.value < 0x20 }) {
        return "a key needs a name of 1 to 100 bytes without control characters"
      }
      if role == .appAdmin, appID == nil { return "an appAdmin needs the app it is for" }
      if role == .companyAdmin, appID != nil { return "a companyAdmin is for every app" }
      if let appID, appID.isEmpty || appID.utf8.count > 200 { return "an app has an id of 1 to 200 bytes" }
      if let limit, !(0.001...1e9 ~= limit.requestsPerSecond && 1...1e9 ~= limit.burst) {
        return "a rate must be 0.001 to 1000000000 a second, and a burst 1 to 1000000000"
      }
      return nil
    }
  }

  package var isRevoked: Bool { revokedAt != nil }

  /// The token for a key, which is shown once.
  package static func token(id: String, secret: String) -> String { "psk_\(id)_\(secret)" }

  /// The parts of a token; nil for anything that is none.
  package static func parts(of token: String) -> (id: String, secret: String)? {
    let parts = token.utf8.split(separator: UInt8(ascii: "_"), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].elementsEqual("psk".utf8), parts[1].count == 16, parts[2].count == 64 else {
      return nil
    }
    return (String(decoding: Array(parts[1]), as: UTF8.self), String(decoding: Array(parts[2]), as: UTF8.self))
  }

  package static func hash(of secret: String) -> [UInt8] { Digest.sha256(Array(secret.utf8)) }
}
