import PenstockSupport

/// All keys: who a token is, and how keys come and go. A pure value; time and chance are handed in.
package struct APIKeySet: Sendable, Hashable {
  package enum Refusal: Error, Sendable, Hashable {
    /// No key, or none that is known. One word for all reasons: a guesser learns nothing.
    case unknown
    case noSuchKey
    case wrong(String)
  }

  package private(set) var keys: [APIKey] = []
  private var places: [String: Int] = [:]

  package init(_ keys: [APIKey] = []) {
    self.keys = keys
    places = Dictionary(keys.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  package subscript(id: String) -> APIKey? { places[id].map { keys[$0] } }

  /// Whose token it is.
  ///
  /// The secret's hash is compared in constant time, and one is compared where there is no such key as well, so that the time
  /// it takes tells nothing about which keys there are. The id is no secret, and is looked up plainly.
  package func identify(_ token: String?, at now: Int64) throws(Refusal) -> APIKey {
    guard let token, let (id, secret) = APIKey.parts(of: token) else { throw .unknown }
    let given = APIKey.hash(of: secret)
    let key = self[id]
    let kept = key.flatMap { Digest.decodeHex($0.hash) } ?? [UInt8](repeating: 0, count: 32)
    var isRight = Digest.equalInConstantTime(given, kept)
    if let former = key?.former, now < former.until, let bytes = Digest.decodeHex(former.hash) {
      isRight = Digest.equalInConstantTime(given, bytes) || isRight
    }
    guard let key, isRight, !key.isRevoked else { throw .unknown }
    return key
  }

  /// Adds a key and returns its token, which nothing keeps.
  ///
  /// - Parameter random: 40 bytes nobody can foresee.
  package mutating func create(
    _ request: APIKey.Request, at now: Int64, random: [UInt8]
  ) throws(Refusal) -> (key: APIKey, token: String) {
    if let complaint = request.complaint { throw .wrong(complaint) }
    precondition(random.count == 40, "a key takes 40 random bytes")
    let id = Digest.hex(Array(random[32...]))
    guard self[id] == nil else { throw .wrong("the random numbers repeat") }
    let secret = Digest.hex(Array(random[..<32]))
    let key = APIKey(
      id: id, name: request.name, role: request.role, appID: request.appID,
      hash: Digest.hex(APIKey.hash(of: secret)), former: nil, limit: request.limit, createdAt: now, revokedAt: nil)
    places[id] = keys.count
    keys.append(key)
    return (key, APIKey.token(id: id, secret: secret))
  }

  /// Gives a key another secret; the former one is taken for `grace` seconds more.
  package mutating func rotate(
    _ id: String, at now: Int64, grace: Int64, random: [UInt8]
  ) throws(Refusal) -> (key: APIKey, token: String) {
    guard let place = places[id], !keys[place].isRevoked else { throw .noSuchKey }
    let secret = Digest.hex(Array(random[..<32]))
    keys[place].former = grace > 0 ? .init(hash: keys[place].hash, until: now + grace) : nil
    keys[place].hash = Digest.hex(APIKey.hash(of: secret))
    return (keys[place], APIKey.token(id: id, secret: secret))
  }

  /// From now on nobody is let in with it. It stays in the list, for the audit log names it.
  package mutating func revoke(_ id: String, at now: Int64) throws(Refusal) {
    guard let place = places[id], !keys[place].isRevoked else { throw .noSuchKey }
    keys[place].revokedAt = now
    keys[place].former = nil
  }
}
