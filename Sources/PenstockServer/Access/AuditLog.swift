import Logging
package import PenstockLog
import Synchronization

/// Who changed what: a log of its own beside the service's, a line of JSON for each change, on stable storage before it is made.
///
/// Notes what was asked with a key that is known: every change, and what is refused for want of the right, as often as
/// ``RefusalSampler`` lets it. Requests without a good key are counted and not noted here, or anybody could fill the disk.
///
/// A damaged audit keeps no service from starting: what is lost of it is told by ``damage``. One that cannot be opened
/// for another reason takes nothing until the next start, so no change is made until then.
package final class AuditLog: Sendable {
  private let log: Result<Log, LogError>
  /// What of it is lost, or why it takes nothing, for people; nil where nothing is wrong.
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
      var words = log.recovery.gaps.map { "\($0) in \(path)" }
      if let aside { words.insert("\(path) was damaged and is now \(aside)", at: 0) }
      return AuditLog(.success(log), words.isEmpty ? nil : words.joined(separator: "; "), clock, pace)
    } catch {
      let words = "\(path) cannot be opened, so no change is made until the next start: \(error)"
      return AuditLog(.failure(error), words, clock, pace)
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

  private func write(_ counts: [RefusalSampler.Count]) async throws(LogError) {
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
    try await log.get().append(ServiceJSON.object(members).text)
  }

  /// Notes what is only counted yet, and closes the log.
  package func close() async throws(LogError) {
    guard case .success(let log) = log else { return }
    var failure: LogError?
    do throws(LogError) { try await write(refusals.withLock { $0.takeAll() }) } catch { failure = error }
    try await log.close()
    if let failure { throw failure }
  }
}
