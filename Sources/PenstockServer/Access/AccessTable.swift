/// Who may ask what: every route for every role, and nothing that is not in here. A pure table, so that a test can hold it
/// against the one in the documentation, row by row.
package enum AccessTable {
  package enum Grant: Sendable, Hashable {
    case denied
    case granted
    /// Only what belongs to the key's app: its events, its keys.
    case ownApp
  }

  /// What anybody may ask, without a key.
  package static func isOpen(_ route: Route) -> Bool {
    switch route {
    case .health, .readiness, .openAPI, .console, .consoleFile: true
    default: false
    }
  }

  /// What a role may ask. `ofOneApp`: the key is of one app alone.
  package static func grant(_ route: Route, to role: Role, ofOneApp: Bool) -> Grant {
    switch route {
    case .health, .readiness, .openAPI, .console, .consoleFile: .granted
    // Who somebody is, that one may know.
    case .getMe: .granted
    case .postEvents, .getProducer:
      switch role {
      case .companyAdmin: .granted
      case .appAdmin: .ownApp
      case .producer: ofOneApp ? .ownApp : .granted
      case .viewer: .denied
      }
    case .getEvents:
      switch role {
      case .companyAdmin: .granted
      case .appAdmin: .ownApp
      case .viewer: ofOneApp ? .ownApp : .granted
      case .producer: .denied
      }
    // Counts and states; no event, no person, and nothing of another app but how much there is.
    case .getStatus, .getStatusStream, .getStatusHistory, .getSegments, .getDestinations:
      role == .producer ? .denied : .granted
    // Where everything goes, without secrets: for whoever administers, of a company or an app.
    case .getSettings:
      switch role {
      case .companyAdmin, .appAdmin: .granted
      case .viewer: ofOneApp ? .denied : .granted
      case .producer: .denied
      }
    // What destinations said, and the events they refused, are of all apps.
    case .getAttempts, .getDeadLetters, .getDeadLetter, .getReplays, .getReplay, .metrics:
      switch role {
      case .companyAdmin: .granted
      case .viewer: ofOneApp ? .denied : .granted
      case .appAdmin, .producer: .denied
      }
    // A destination carries every app's events.
    case .pause, .resume, .retry, .seek, .redeliver, .postReplay, .deleteReplay:
      role == .companyAdmin ? .granted : .denied
    case .getKeys, .postKey, .rotateKey, .deleteKey:
      switch role {
      case .companyAdmin: .granted
      case .appAdmin: .ownApp
      case .producer, .viewer: .denied
      }
    }
  }
}
