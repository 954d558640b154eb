/// The rights of every role on every route; nothing else is allowed. A pure table, which a test compares with the
/// documentation row by row.
package enum AccessTable {
  package enum Grant: Sendable, Hashable {
    case denied
    case granted
    /// Only what belongs to the key's app: its events, its keys.
    case ownApp
  }

  /// The routes that need no API key.
  package static func isOpen(_ route: Route) -> Bool {
    switch route {
    case .health, .readiness, .openAPI, .console, .consoleFile: true
    default: false
    }
  }

  /// The rights of a role. `ofOneApp`: the key is limited to one app.
  package static func grant(_ route: Route, to role: Role, ofOneApp: Bool) -> Grant {
    switch route {
    case .health, .readiness, .openAPI, .console, .consoleFile: .granted
    // Every key may see its own role.
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
    // Counts and states: no events, no personal data, and of other apps only totals.
    case .getStatus, .getStatusStream, .getStatusHistory, .getSegments, .getDestinations:
      role == .producer ? .denied : .granted
    // Addresses of destinations, without secrets: for administrators only.
    case .getSettings:
      switch role {
      case .companyAdmin, .appAdmin: .granted
      case .viewer: ofOneApp ? .denied : .granted
      case .producer: .denied
      }
    // Answers of destinations and rejected events concern all apps.
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
