import PenstockLog

/// The operations of the HTTP API, each with one method and path. Every other path is answered 404.
package enum Route: String, Sendable, Hashable, CaseIterable {
  case postEvents, getEvents, getProducer
  case getStatus, getStatusStream, getStatusHistory, getSegments, getSettings
  case getDestinations, getAttempts, getDeadLetters, getDeadLetter
  case pause, resume, retry, seek, redeliver
  case getReplays, postReplay, getReplay, deleteReplay
  case getMe, getKeys, postKey, rotateKey, deleteKey
  case metrics, health, readiness, openAPI
  case console, consoleFile

  package enum Method: String, Sendable, Hashable { case get = "GET", post = "POST", delete = "DELETE" }

  package var method: Method {
    switch self {
    case .postEvents, .pause, .resume, .retry, .seek, .redeliver, .postReplay, .postKey, .rotateKey: .post
    case .deleteReplay, .deleteKey: .delete
    default: .get
    }
  }

  /// The path; a part in braces is a name.
  package var pattern: String {
    switch self {
    case .postEvents, .getEvents: "/v1/events"
    case .getProducer: "/v1/producers/{name}"
    case .getStatus: "/v1/status"
    case .getStatusStream: "/v1/status/stream"
    case .getStatusHistory: "/v1/status/history"
    case .getSegments: "/v1/segments"
    case .getSettings: "/v1/settings"
    case .getDestinations: "/v1/destinations"
    case .getAttempts: "/v1/destinations/{name}/attempts"
    case .getDeadLetters: "/v1/destinations/{name}/deadletters"
    case .getDeadLetter: "/v1/destinations/{name}/deadletters/{id}"
    case .pause: "/v1/destinations/{name}/pause"
    case .resume: "/v1/destinations/{name}/resume"
    case .retry: "/v1/destinations/{name}/retry"
    case .seek: "/v1/destinations/{name}/seek"
    case .redeliver: "/v1/destinations/{name}/redeliver"
    case .getReplays, .postReplay: "/v1/replays"
    case .getReplay, .deleteReplay: "/v1/replays/{id}"
    case .getMe: "/v1/me"
    case .getKeys, .postKey: "/v1/keys"
    case .rotateKey: "/v1/keys/{id}/rotate"
    case .deleteKey: "/v1/keys/{id}"
    case .metrics: "/metrics"
    case .health: "/healthz"
    case .readiness: "/readyz"
    case .openAPI: "/openapi.json"
    case .console: "/"
    case .consoleFile: "/console/{name}"
    }
  }
}

extension Route {
  package enum Match: Sendable, Hashable {
    /// The route, the first name in its path if any, and the second if any.
    case route(Route, name: String, item: String = "")
    /// The path exists, with other methods.
    case otherMethods([Method])
    case none
  }

  /// The route of a request. The path is not percent-decoded. A name in it is the name of a cursor, a replay or a
  /// producer, or the id of a key. `HEAD` matches as `GET`.
  package static func match(_ method: String, _ path: String) -> Match {
    let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let method = method == "HEAD" ? Method.get.rawValue : method
    var others: [Method] = []
    for (route, pattern) in patterns where pattern.count == parts.count {
      var names: [String] = []
      var isSame = true
      for (part, wanted) in zip(parts, pattern) {
        if let wanted {
          isSame = part.elementsEqual(wanted)
        } else {
          let name = String(decoding: Array(part), as: UTF8.self)
          isSame = CursorStore.isName(name)
          names.append(name)
        }
        if !isSame { break }
      }
      guard isSame else { continue }
      if route.method.rawValue == method {
        return .route(route, name: names.first ?? "", item: names.count > 1 ? names[1] : "")
      }
      others.append(route.method)
    }
    return others.isEmpty ? .none : .otherMethods(others)
  }

  /// Each route with the parts of its path; nil is a name.
  private static let patterns: [(Route, [[UInt8]?])] = allCases.map { route in
    let parts = route.pattern.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    return (route, parts.map { $0.first == UInt8(ascii: "{") ? nil : Array($0) })
  }
}
