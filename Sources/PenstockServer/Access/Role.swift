/// The rights of an API key.
public enum Role: String, Sendable, Hashable, Codable, CaseIterable {
  /// All rights, on every app.
  case companyAdmin
  /// Sends and reads the events of one app, and manages the keys of that app.
  case appAdmin
  /// Sends events; of one app only when the key names it.
  case producer
  /// Reads; of one app only when the key names it.
  case viewer
}
