import Logging
package import PenstockLog
package import PenstockSupport
import Synchronization

/// Who changed what: a separate log with one line of JSON for each change, on stable storage before the change is made.
///
/// It records the requests of known keys: every change, and the requests that a key has no right to make, as far as
/// ``RefusalSampler`` allows. Requests without a valid key are counted and not recorded, because they could fill the
/// disk.
///
/// A damaged audit log does not prevent a start; ``damage`` reports the loss. An audit log that cannot be opened for
/// another reason records nothing until the next start, and until then the service refuses every change.
package final class AuditLog: Sendable {
  private let log: Result<Log, LogError>
  /// What the log has lost, or why it records nothing, as text for an operator; nil when it is intact.
  package let damage: String?
  private let clock: any WallClock
  private let pace: any MonotonicClock
  private let refusals = Mutex(RefusalSampler())

  package static func open(
    at path: String, clock: any WallClock = SystemWallClock(), pace: any MonotonicClock = SystemMonotonicClock(),
    environment: LogEnvironment = .system
  ) async -> AuditLog {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 4 << 20
    configuration.encoders = 0
    configuration.sealing = .off
    configuration.retention.maxBytes = 256 << 20
    do throws(LogError) {
      let (log, aside) = try await SideLog.open(at: path, configuration: configuration, environment: environment)
      var problems = log.recovery.gaps.map { "\($0) in \(path)" }
      if let aside { problems.insert("\(path) was damaged; it was moved to \(aside)", at: 0) }
      return AuditLog(.success(log), problems.isEmpty ? nil : problems.joined(separator: "; "), clock, pace)
    } catch {
      let problem = "\(path) cannot be opened, so the service refuses every change until the next start: \(error)"
      return AuditLog(.failure(error), problem, clock, pace)
    }
  }

  private init(
    _ log: Result<Log, LogError>, _ damage: String?, _ clock: any WallClock, _ pace: any MonotonicClock
  ) {
    self.log = log
    self.damage = damage
    self.clock = clock
    self.pace = pace
  }

  /// - Parameter request: The id in the answer's `X-Request-Id`.
  package func note(
    _ key: APIKey?, _ action: String, target: String, request: String? = nil, outcome: String,
    detail: [(String, OrderedJSON)] = []
  ) async throws(LogError) {
    let now = pace.now()
    try await write(refusals.withLock { $0.takeDue(at: now) })
    try await append(key, action, target: target, request: request, outcome: outcome, detail: detail)
  }

  /// Records or counts a request that the key has no right to make. If the record cannot be written, `logger` reports
  /// it; the request is refused in any case.
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

  private func write(_ counts: [RefusalSampler.Count]) async throws(LogError) {
    for one in counts {
      try await append(
        one.key, "refusals", target: "", request: nil, outcome: "forbidden", detail: [("count", .number(one.count))])
    }
  }

  private func append(
    _ key: APIKey?, _ action: String, target: String, request: String?, outcome: String,
    detail: [(String, OrderedJSON)]
  ) async throws(LogError) {
    var members: [(String, OrderedJSON)] = [
      ("time", .string(ServiceTime.text(clock.now()))), ("key", .optional(key?.id)), ("name", .optional(key?.name)),
      ("role", .optional(key?.role.rawValue)), ("action", .string(action)), ("target", .string(target)),
      ("requestId", .optional(request)), ("outcome", .string(outcome)),
    ]
    if !detail.isEmpty { members.append(("detail", .object(detail))) }
    try await log.get().append(OrderedJSON.object(members).text)
  }

  /// Records the remaining counts, and closes the log.
  package func close() async throws(LogError) {
    guard case .success(let log) = log else { return }
    var failure: LogError?
    do throws(LogError) { try await write(refusals.withLock { $0.takeAll() }) } catch { failure = error }
    try await log.close()
    if let failure { throw failure }
  }
}
