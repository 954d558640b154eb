import Hummingbird
import NIOCore
import PenstockDelivery
import PenstockEvents
import PenstockLog
import Synchronization

/// Everything but ingest and keys: what there is, and what may be done with destinations and replays.
final class AdminAPI: Sendable {
  let log: Log
  let hosts: [DestinationRunner]
  let replays: ReplayRunner
  let redeliveries: RedeliveryRunner
  let ingest: Ingest
  let facts: ServiceFacts
  let clock: any WallClock
  let metrics: ServiceMetrics
  let storage: @Sendable (_ path: String) -> StorageState
  let damage: @Sendable () -> [ServiceDamage]
  private let startedAt: Timestamp

  init(
    _ log: Log, hosts: [DestinationRunner], replays: ReplayRunner, redeliveries: RedeliveryRunner, ingest: Ingest,
    metrics: ServiceMetrics, facts: ServiceFacts, clock: any WallClock,
    storage: @escaping @Sendable (_ path: String) -> StorageState = StorageState.of,
    damage: @escaping @Sendable () -> [ServiceDamage] = { [] }
  ) {
    self.log = log
    self.hosts = hosts
    self.replays = replays
    self.redeliveries = redeliveries
    self.ingest = ingest
    self.metrics = metrics
    self.facts = facts
    self.clock = clock
    self.storage = storage
    self.damage = damage
    startedAt = clock.now()
  }

  /// Where everything stands, from memory.
  var sample: StatusHistory.Sample {
    StatusHistory.Sample(time: clock.now(), end: log.end, committed: hosts.map(\.committed))
  }

  func host(_ name: String) -> DestinationRunner? { hosts.first { $0.destination.name == name } }

  static func noSuch(_ kind: String) -> Answer { .failure(404, "not_found", "there is no such \(kind)") }

  // MARK: Looking

  func status(for audience: RedactionScope) async -> Answer { Answer(200, await state(for: audience)) }

  /// What there is, in a line.
  func state(for audience: RedactionScope = .company) async -> ServiceJSON {
    let now = clock.now()
    let set = log.view.set
    let bytes = set.segments.reduce(0) { $0 + ((try? log.view.fileBytes(of: $1, in: set)) ?? 0) }
    var destinations: [ServiceJSON] = []
    for host in hosts { destinations.append(await host.json(at: now, for: audience)) }
    let tally = ingest.counters.tally
    return .object([
      ("log", .string(log.logID)), ("ready", .bool(isReady)), ("first", .number(log.first.rawValue)),
      ("end", .number(log.end.rawValue)),
      ("segments", .number(set.segments.count)), ("bytesOnDisk", .number(bytes)),
      ("startedAt", .string(ServiceTime.text(startedAt))), ("now", .string(ServiceTime.text(now))),
      ("recovery", .string(log.recovery.outcome.rawValue)), ("ingest", tally.json),
      ("damaged", .array(damage().map { $0.json(for: audience) })),
      ("idempotencyKeys", .number(ingest.knownKeys)), ("bodyMemory", .number(ingest.budget.used)),
      ("destinations", .array(destinations)),
    ])
  }

  func destinations(for audience: RedactionScope) async -> Answer {
    let now = clock.now()
    var found: [ServiceJSON] = []
    for host in hosts { found.append(await host.json(at: now, for: audience)) }
    return Answer(200, .object([("destinations", .array(found))]))
  }

  func attempts(_ name: String) -> Answer {
    guard let host = host(name) else { return Self.noSuch("destination") }
    return Answer(200, .object([("attempts", .array(host.attempts.reversed().map(\.json)))]))
  }

  static let wrongNumber = Answer.failure(400, "bad_request", "from and limit are numbers within their ranges")

  /// A number of the query; nil for what is none, or out of range.
  static func number(_ name: String, _ request: Request, _ standard: Int, _ range: ClosedRange<Int>) -> Int? {
    guard let text = request.uri.queryParameters[Substring(name)] else { return standard }
    guard let number = Int(text), range.contains(number), text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      return nil
    }
    return number
  }

  // MARK: Doing

  private struct SeekBody: Decodable { var to: String }
  private struct PauseBody: Decodable { var reason: String? }

  /// Does what a person asks of a destination.
  func change(_ route: Route, _ name: String, _ request: Request) async -> Answer {
    guard let host = host(name) else { return Self.noSuch("destination") }
    do {
      switch route {
      case .pause:
        let body = try await SmallBody.decode(PauseBody.self, from: request)
        try await host.pause(reason: body.reason ?? "")
      case .resume: try await host.resume()
      case .retry:
        guard host.retryNow() else {
          return .failure(409, "conflict", "its delivery does not run; see its failure")
        }
      default:
        let body = try await SmallBody.decode(SeekBody.self, from: request)
        guard let place = PositionParameter.position(body.to, now: clock.now()) else {
          return .failure(400, "bad_request", "to is \(PositionParameter.explanation)")
        }
        let former = try await host.seek(to: place)
        return Answer(
          200, await host.json(at: clock.now(), more: [("formerCommitted", .number(former.rawValue))]))
      }
      return Answer(200, await host.json(at: clock.now()))
    } catch let error as LogError {
      return error.code == .illegalMove ? .failure(409, "conflict", error.message) : Answer(error)
    } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch {
      return .failure(500, "failed", "it could not be done")
    }
  }
}

extension IngestCounts {
  var json: ServiceJSON {
    .object([
      ("requests", .number(requests)), ("events", .number(events)), ("bytes", .number(bytes)),
      ("duplicates", .number(duplicates)), ("refusedRecords", .number(refusedRecords)), ("refused", .number(refused)),
      ("pushedBack", .number(pushedBack)), ("failed", .number(failed)),
    ])
  }
}
