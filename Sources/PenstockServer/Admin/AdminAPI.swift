import Hummingbird
import NIOCore
import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSupport
import Synchronization

/// The HTTP API for status, destinations, replays and metrics: everything except ingest and API keys.
final class AdminAPI: Sendable {
  /// What works for the destinations of the service.
  struct Runners: Sendable {
    let destinations: [DestinationRunner]
    let replays: ReplayRunner
    let redeliveries: RedeliveryRunner
  }

  /// What the API asks about the machine and the service. A test has its own.
  struct Environment: Sendable {
    var clock: any WallClock = SystemWallClock()
    var storage: @Sendable (_ path: String) -> StorageState = StorageState.of
    var damage: @Sendable () -> [ServiceDamage] = { [] }
  }

  let log: Log
  let runners: [DestinationRunner]
  let replays: ReplayRunner
  let redeliveries: RedeliveryRunner
  let ingest: Ingest
  let configuration: OpeningConfiguration
  let clock: any WallClock
  let metrics: ServiceMetrics
  let storage: @Sendable (_ path: String) -> StorageState
  let damage: @Sendable () -> [ServiceDamage]
  private let startedAt: Timestamp

  init(
    _ log: Log, _ runners: Runners, ingest: Ingest, metrics: ServiceMetrics, configuration: OpeningConfiguration,
    environment: Environment = Environment()
  ) {
    self.log = log
    self.runners = runners.destinations
    replays = runners.replays
    redeliveries = runners.redeliveries
    self.ingest = ingest
    self.metrics = metrics
    self.configuration = configuration
    clock = environment.clock
    storage = environment.storage
    damage = environment.damage
    startedAt = clock.now()
  }

  /// The positions of the log and its destinations; reads memory only.
  var sample: StatusHistory.Sample {
    StatusHistory.Sample(time: clock.now(), end: log.end, committed: runners.map(\.committed))
  }

  func runner(_ name: String) -> DestinationRunner? { runners.first { $0.destination.name == name } }

  static func noSuch(_ kind: String) -> Answer { .failure(404, "not_found", "there is no such \(kind)") }

  // MARK: Views

  func status(for scope: RedactionScope) async -> Answer { Answer(200, await state(for: scope)) }

  /// The complete status.
  func state(for scope: RedactionScope = .company) async -> OrderedJSON {
    let now = clock.now()
    let set = log.view.set
    let bytes = await bytes(of: set)
    let destinations = await DestinationRunner.json(of: runners, at: now, for: scope)
    let counts = ingest.counters.counts
    return .object([
      ("log", .string(log.logID)), ("ready", .bool(isReady)), ("first", .number(log.first.rawValue)),
      ("end", .number(log.end.rawValue)),
      ("segments", .number(set.segments.count)), ("bytesOnDisk", .number(bytes)),
      ("startedAt", .string(ServiceTime.text(startedAt))), ("now", .string(ServiceTime.text(now))),
      ("recovery", .string(log.recovery.outcome.rawValue)), ("ingest", counts.json),
      ("damaged", .array(damage().map { $0.json(for: scope) })),
      ("idempotencyKeys", .number(ingest.knownKeys)), ("bodyMemory", .number(ingest.budget.used)),
      ("destinations", .array(destinations)),
    ])
  }

  /// The bytes of the segments' files; 0 where they cannot be read, and when the task was cancelled.
  private func bytes(of set: SegmentSet) async -> Int {
    let sum = try? await log.view.offload(.short) { [log] () throws(LogError) in
      set.segments.reduce(0) { $0 + ((try? log.view.fileBytes(of: $1, in: set)) ?? 0) }
    }
    return sum ?? 0
  }

  func destinations(for scope: RedactionScope) async -> Answer {
    let views = await DestinationRunner.json(of: runners, at: clock.now(), for: scope)
    return Answer(200, .object([("destinations", .array(views))]))
  }

  func attempts(_ name: String) async -> Answer {
    guard let runner = runner(name) else { return Self.noSuch("destination") }
    do throws(LogError) {
      let attempts = try await runner.attempts
      return Answer(200, .object([("attempts", .array(attempts.reversed().map(\.json)))]))
    } catch { return Answer(error) }
  }

  static let wrongNumber = Answer.failure(
    400, "bad_request", "from and limit must be whole numbers within their ranges")

  /// A number in the query, or its default value; nil when it is not a number or out of range.
  static func number(_ name: String, _ request: Request, _ standard: Int, _ range: ClosedRange<Int>) -> Int? {
    guard let text = request.uri.queryParameters[Substring(name)] else { return standard }
    guard let number = Int(text), range.contains(number), text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      return nil
    }
    return number
  }

  // MARK: Changes

  private struct SeekBody: Decodable {
    var to: String
    var giveUpBatch: Bool?
  }
  private struct PauseBody: Decodable { var reason: String? }

  /// Pauses, resumes, retries or seeks a destination.
  func change(_ route: Route, _ name: String, _ request: Request) async -> Answer {
    guard let runner = runner(name) else { return Self.noSuch("destination") }
    do {
      switch route {
      case .pause:
        let body = try await SmallBody.decode(PauseBody.self, from: request)
        try await runner.pause(reason: body.reason ?? "")
      case .resume: try await runner.resume()
      case .retry:
        guard runner.retryNow() else {
          return .failure(409, "conflict", "the delivery of this destination is not running; see its failure")
        }
      default:
        let body = try await SmallBody.decode(SeekBody.self, from: request)
        guard let position = PositionParameter.position(body.to, now: clock.now()) else {
          return .failure(400, "bad_request", "to must be \(PositionParameter.explanation)")
        }
        let former = try await runner.seek(to: position, givingUpBatches: body.giveUpBatch ?? false)
        return Answer(
          200,
          runner.json(await runner.facts(at: clock.now()), more: [("formerCommitted", .number(former.rawValue))]))
      }
      return Answer(200, runner.json(await runner.facts(at: clock.now())))
    } catch let error as LogError {
      return error.code == .illegalMove ? .failure(409, "conflict", error.message) : Answer(error)
    } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch {
      return .failure(500, "failed", "the change could not be made")
    }
  }
}

extension IngestCounts {
  var json: OrderedJSON {
    .object([
      ("requests", .number(requests)), ("events", .number(events)), ("bytes", .number(bytes)),
      ("duplicates", .number(duplicates)), ("refusedRecords", .number(refusedRecords)), ("refused", .number(refused)),
      ("pushedBack", .number(pushedBack)), ("failed", .number(failed)),
    ])
  }
}
