import HTTPTypes
import Hummingbird
import PenstockLog

/// Decides which key may use which route.
struct Authorizer: Sendable {
  enum Verdict {
    /// - Parameter appID: the only app that the key may access; nil: all.
    case open(APIKey?, appID: String?)
    case refused(Answer, APIKey?)
  }

  /// Nil: no request needs a key, and the service listens on a loopback address only.
  let keys: APIKeyStore?
  let rates = RateLimiter()

  func check(_ request: Request, _ route: Route) -> Verdict {
    if AccessTable.isOpen(route) { return .open(nil, appID: nil) }
    guard let keys else { return checkLocalOrigin(request) }
    if keys.trouble != nil {
      // Not 401: a client would discard its events.
      let message =
        "the file of API keys cannot be read, so every request is refused; the service's log says how to repair it"
      return .refused(.later(503, "keys_unreadable", message, after: 30), nil)
    }
    guard let key = keys.identify(Self.token(of: request)) else {
      return .refused(
        Answer.failure(401, "unauthorized", "send a key as Authorization: Bearer").with("WWW-Authenticate", "Bearer"),
        nil)
    }
    // Before the rights, because a refusal for want of rights is recorded durably.
    if let seconds = rates.wait(key) {
      return .refused(.later(429, "rate_limited", "this key has reached its rate limit", after: seconds), nil)
    }
    let appID: String?
    switch AccessTable.grant(route, to: key.role, ofOneApp: key.appID != nil) {
    case .denied: return .refused(.failure(403, "forbidden", "this key does not have the right to do that"), key)
    case .granted: appID = nil
    case .ownApp:
      // A key whose role needs an app and that names none has no rights.
      guard let own = key.appID else {
        return .refused(.failure(403, "forbidden", "this key does not have the right to do that"), key)
      }
      appID = own
    }
    return .open(key, appID: appID)
  }

  /// Whether a key that was accepted earlier is still valid: an operator may have revoked it or changed its secret.
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

  /// Without keys every program on this machine may use the service, but web pages in a browser must not. A page from
  /// another origin sends `Origin`. A page whose DNS name was rebound to this address sends that name in `Host`.
  private func checkLocalOrigin(_ request: Request) -> Verdict {
    let host = request.head.authority.map(Self.name) ?? ""
    guard ServiceConfiguration.isLoopback(host) else {
      return .refused(
        .failure(403, "forbidden", "without keys this service accepts only 127.0.0.1 or localhost as the host"), nil)
    }
    if Self.isFromElsewhere(request) {
      return .refused(.failure(403, "forbidden", "without keys this service accepts no other origin"), nil)
    }
    return .open(nil, appID: nil)
  }

  /// Whether a browser sends the request for a page from another origin.
  static func isFromElsewhere(_ request: Request) -> Bool {
    request.headers[.origin].map { !isSame($0, request.head.authority ?? "") } ?? false
  }

  private static func isSame(_ origin: String, _ authority: String) -> Bool {
    origin == "http://" + authority || origin == "https://" + authority
  }

  /// The host of an authority, without the port.
  private static func name(_ authority: String) -> String {
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
      return String(authority[authority.index(after: authority.startIndex)..<end])
    }
    return String(authority.prefix { $0 != ":" }).lowercased()
  }
}
