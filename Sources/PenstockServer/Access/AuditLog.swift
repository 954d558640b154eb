import Logging
package import PenstockLog
import Synchronization

/// Who changed what: a log of its own beside the service's, a line of JSON for each change, on stable storage before it is made.
///
/// Notes what was asked with a key that is known: every change, and what is refused for want of the right, as often as
/// ``RefusalTally`` lets it. Requests without a good key are counted and not noted here, or anybody could fill the disk.
package final class AuditLog: Sendable {
  private let log: Log
  private let clock: any WallClock
  private let pace: any PaceClock
  private let refusals = Mutex(RefusalTally())

  package static func open(
    at path: String, clock: any WallClock = SystemWallClock(), pace: any PaceClock = SystemPaceClock(),
    environment: LogEnvironment = .system
  ) async throws(LogError) -> AuditLog {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 4 << 20
    configuration.encoders = 0
    configuration.sealing = .off
    configuration.retention.maxBytes = 256 << 20
    return AuditLog(
      try await Log.open(at: path, configuration: configuration, environment: environment), clock: clock, pace: pace)
  }

  private init(_ log: Log, clock: any WallClock, pace: any PaceClock) {
    self.log = log
    self.clock = clock
    self.pace = pace
  }

  /// - Parameter request: The id that its answer has as `X-Request-Id`.
  package func note(
    _ key: APIKey?, _ action: String, target: String, request: String? = nil, outcome: String,
    detail: [(String, ServiceJSON)] = []
  ) async throws(LogError) {
    let now = pace.now()
    try await write(refusals.withLock { $0.takeDue(at: now) })
    try await append(key, action, target: target, request: request, outcome: outcome, detail: detail)
  }

  /// Notes that a key may not do what it asked for, or counts it. What cannot be noted is told to `logger`: it was refused all the
  /// same.
  func noteRefusal(
    of key: APIKey, _ route: Route, target: String, request: String? = nil, status: Int, _ logger: Logger
  ) async {
    let now = pace.now()
    let (due, isNoted) = refusals.withLock { ($0.takeDue(at: now), $0.note(key, at: now)) }
    do throws(LogError) {
      try await write(due)
      guard isNoted else { return }
      try await append(
        key, route.rawValue, target: target, request: request, outcome: "forbidden",
        detail: [("status", .number(status))])
    } catch {
      logger.error("the audit log cannot be written", metadata: ["error": "\(error)", "requestId": "\(request ?? "")"])
    }
  }

  private func write(_ counts: [RefusalTally.Count]) async throws(LogError) {
    for one in counts {
      try await append(
        one.key, "refusals", target: "", request: nil, outcome: "forbidden", detail: [("count", .number(one.count))])
    }
  }

  private func append(
    _ key: APIKey?, _ action: String, target: String, request: String?, outcome: String,
    detail: [(String, ServiceJSON)]
  ) async throws(LogError) {
    var members: [(String, ServiceJSON)] = [
      ("time", .string(ServiceTime.text(clock.now()))), ("key", .optional(key?.id)), ("name", .optional(key?.name)),
      ("role", .optional(key?.role.rawValue)), ("action", .string(action)), ("target", .string(target)),
      ("requestId", .optional(request)), ("outcome", .string(outcome)),
    ]
    if !detail.isEmpty { members.append(("detail", .object(detail))) }
    try await log.append(ServiceJSON.object(members).text)
  }

  /// Notes what is only counted yet, and closes the log.
  package func close() async throws(LogError) {
    var failure: LogError?
    do throws(LogError) { try await write(refusals.withLock { $0.takeAll() }) } catch { failure = error }
    try await log.close()
    if let failure { throw failure }
  }
}
