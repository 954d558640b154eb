import PenstockSupport

/// All API keys: identifies tokens; creates, rotates and revokes keys. A pure value; the caller passes time and random
/// bytes.
package struct APIKeySet: Sendable, Hashable {
  package enum Refusal: Error, Sendable, Hashable {
    /// No token, or an invalid one. The error is the same for every reason, so that an attacker learns nothing.
    case unknown
    case noSuchKey
    case wrong(String)
  }

  package private(set) var keys: [APIKey] = []
  private var indexes: [String: Int] = [:]

  package init(_ keys: [APIKey] = []) {
    self.keys = keys
    indexes = Dictionary(keys.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  package subscript(id: String) -> APIKey? { indexes[id].map { keys[$0] } }

  /// The key of a token.
  ///
  /// Hashes are compared in constant time. A hash is also compared when no such key exists, so that the duration does
  /// not reveal which keys exist. The id is not secret, so an ordinary lookup suffices.
  ///
  /// - Throws: ``Refusal/unknown`` for a missing, wrong or revoked token.
  package func identify(_ token: String?, at now: Int64) throws(Refusal) -> APIKey {
    guard let token, let (id, secret) = APIKey.parts(of: token) else { throw .unknown }
    let given = APIKey.hash(of: secret)
    let key = self[id]
    let stored = key.flatMap { Digest.decodeHex($0.hash) } ?? [UInt8](repeating: 0, count: 32)
    var isRight = Digest.equalInConstantTime(given, stored)
    if let former = key?.former, now < former.until, let bytes = Digest.decodeHex(former.hash) {
      isRight = Digest.equalInConstantTime(given, bytes) || isRight
    }
    guard let key, isRight, !key.isRevoked else { throw .unknown }
    return key
  }

  /// Adds a key and returns its token, which is not stored.
  ///
  /// - Parameter random: 40 unpredictable bytes.
  /// - Throws: ``Refusal/wrong(_:)`` when the properties are invalid.
  package mutating func create(
    _ request: APIKey.Request, at now: Int64, random: [UInt8]
  ) throws(Refusal) -> (key: APIKey, token: String) {
    if let complaint = request.complaint { throw .wrong(complaint) }
    precondition(random.count == 40, "a key needs 40 random bytes")
    let id = Digest.hex(Array(random[32...]))
    guard self[id] == nil else { throw .wrong("the random number generator repeated a key's id") }
    let secret = Digest.hex(Array(random[..<32]))
    let key = APIKey(
      id: id, name: request.name, role: request.role, appID: request.appID,
      hash: Digest.hex(APIKey.hash(of: secret)), former: nil, limit: request.limit, createdAt: now, revokedAt: nil)
    indexes[id] = keys.count
    keys.append(key)
    return (key, APIKey.token(id: id, secret: secret))
  }

  /// Replaces the secret of a key; the former secret stays valid for `grace` seconds.
  package mutating func rotate(
    _ id: String, at now: Int64, grace: Int64, random: [UInt8]
  ) throws(Refusal) -> (key: APIKey, token: String) {
    guard let index = indexes[id], !keys[index].isRevoked else { throw .noSuchKey }
    let secret = Digest.hex(Array(random[..<32]))
    keys[index].former = grace > 0 ? .init(hash: keys[index].hash, until: now + grace) : nil
    keys[index].hash = Digest.hex(APIKey.hash(of: secret))
    return (keys[index], APIKey.token(id: id, secret: secret))
  }

  /// Revokes a key at once. It stays in the list, because the audit log refers to it.
  package mutating func revoke(_ id: String, at now: Int64) throws(Refusal) {
    guard let index = indexes[id], !keys[index].isRevoked else { throw .noSuchKey }
    keys[index].revokedAt = now
    keys[index].former = nil
  }
}
