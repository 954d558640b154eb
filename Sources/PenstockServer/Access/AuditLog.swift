package import PenstockLog

/// Who changed what: a log of its own beside the service's, a line of JSON for each change, on stable storage before it is made.
///
/// Notes what was asked with a key that is known: every change, and everything refused for want of the right. Requests without a
/// good key are counted and not noted here, or anybody could fill the disk.
package final class AuditLog: Sendable {
  private let log: Log
  private let clock: any WallClock

  package static func open(
    at path: String, clock: any WallClock = SystemWallClock(), environment: LogEnvironment = .system
  ) async throws(LogError) -> AuditLog {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 4 << 20
    configuration.encoders = 0
    configuration.sealing = .off
    configuration.retention.maxBytes = 256 << 20
    return AuditLog(
      try await Log.open(at: path, configuration: configuration, environment: environment), clock: clock)
  }

  private init(_ log: Log, clock: any WallClock) {
    self.log = log
    self.clock = clock
  }

  package func note(
    _ key: APIKey?, _ action: String, target: String, outcome: String, detail: [(String, ServiceJSON)] = []
  ) async throws(LogError) {
    var members: [(String, ServiceJSON)] = [
      ("time", .string(ServiceTime.text(clock.now()))), ("key", .optional(key?.id)), ("name", .optional(key?.name)),
      ("role", .optional(key?.role.rawValue)), ("action", .string(action)), ("target", .string(target)),
      ("outcome", .string(outcome)),
    ]
    if !detail.isEmpty { members.append(("detail", .object(detail))) }
    try await log.append(ServiceJSON.object(members).text)
  }

  package func close() async throws(LogError) { try await log.close() }
}
