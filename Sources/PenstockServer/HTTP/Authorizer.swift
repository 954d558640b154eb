import HTTPTypes
import Hummingbird
import PenstockLog

/// Who is let in to what.
struct Authorizer: Sendable {
  enum Verdict {
    /// - Parameter appID: the only app that is theirs; nil: all.
    case open(APIKey?, appID: String?)
    case refused(Answer, APIKey?)
  }

  /// Nil: nobody is asked for a key, and the service listens on a loopback address alone.
  let keys: APIKeyStore?
  let rates = RateGate()

  func check(_ request: Request, _ route: Route) -> Verdict {
    if AccessTable.isOpen(route) { return .open(nil, appID: nil) }
    guard let keys else { return checkLocalOrigin(request) }
    if keys.trouble != nil {
      // Not 401: a client would throw its events away.
      let words = "the file of keys cannot be read, so nobody is let in; the service's own log says how to mend it"
      return .refused(.later(503, "keys_unreadable", words, after: 30), nil)
    }
    guard let key = keys.identify(Self.token(of: request)) else {
      return .refused(
        Answer.failure(401, "unauthorized", "send a key as Authorization: Bearer").with("WWW-Authenticate", "Bearer"),
        nil)
    }
    // Before the rights: what is refused for want of them is noted, durably.
    if let seconds = rates.wait(key) {
      return .refused(.later(429, "rate_limited", "this key may not ask that often", after: seconds), nil)
    }
    let appID: String?
    switch AccessTable.grant(route, to: key.role, ofOneApp: key.appID != nil) {
    case .denied: return .refused(.failure(403, "forbidden", "this key may not do that"), key)
    case .granted: appID = nil
    case .ownApp:
      // A key for one app that names none is for nothing.
      guard let own = key.appID else { return .refused(.failure(403, "forbidden", "this key may not do that"), key) }
      appID = own
    }
    return .open(key, appID: appID)
  }

  /// Whether a key that was let in still would be: it may have been revoked, or its secret changed.
  func authorizes(_ key: APIKey?, with request: Request) -> Bool {
    guard let keys, let key else { return true }
    return keys.identify(Self.token(of: request))?.id == key.id
  }

  private static func token(of request: Request) -> String? {
    if let authorization = request.headers[.authorization] {
      let parts = authorization.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
      return String(parts[1])
    }
    return HTTPField.Name("X-Api-Key").flatMap { request.headers[$0] }
  }

  /// Without keys, whatever runs on this machine may ask, but not a page in a browser there: one that was loaded from elsewhere
  /// says so in `Origin`, and one whose name was made to point here asks for that name.
  private func checkLocalOrigin(_ request: Request) -> Verdict {
    let host = request.head.authority.map(Self.name) ?? ""
    guard ServiceConfiguration.isLoopback(host) else {
      return .refused(.failure(403, "forbidden", "without keys this service is asked as 127.0.0.1 or localhost"), nil)
    }
    if Self.isFromElsewhere(request) {
      return .refused(.failure(403, "forbidden", "without keys this service takes nothing from other origins"), nil)
    }
    return .open(nil, appID: nil)
  }

  /// Whether a browser sends it for a page that was loaded from elsewhere.
  static func isFromElsewhere(_ request: Request) -> Bool {
    request.headers[.origin].map { !isSame($0, request.head.authority ?? "") } ?? false
  }

  private static func isSame(_ origin: String, _ authority: String) -> Bool {
    origin == "http://" + authority || origin == "https://" + authority
  }

  /// An authority without its port.
  private static func name(_ authority: String) -> String {
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
      return String(authority[authority.index(after: authority.startIndex)..<end])
    }
    return String(authority.prefix { $0 != ":" }).lowercased()
  }
}
