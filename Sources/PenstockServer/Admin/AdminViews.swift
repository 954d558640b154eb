import PenstockDelivery
import PenstockLog
import PenstockSupport

// JSON views of the API. None contains a secret: sinks describe themselves without secrets.

extension DestinationRunner {
  /// The states of all the runners, as `scope` may see them.
  static func json(
    of runners: [DestinationRunner], at now: Timestamp, for scope: RedactionScope
  ) async -> [OrderedJSON] {
    zip(runners, await facts(of: runners, at: now)).map { $0.json($1, for: scope) }
  }

  /// The state of the destination as `scope` may see it, followed by the members of `more`.
  func json(
    _ facts: Facts, for scope: RedactionScope = .company, more: [(String, OrderedJSON)] = []
  ) -> OrderedJSON {
    let (progress, lag) = (facts.progress, lag(facts, for: scope))
    let isWhole = scope == .company
    let members: [(String, OrderedJSON)] = [
      ("name", .string(destination.name)), ("kind", .string(destination.kind)),
      ("description", .optional(isWhole ? progress?.destination : nil)),
      ("state", .string(progress?.activity.rawValue ?? (failure == nil ? "idle" : "ended"))),
      ("pause", facts.pause?.json ?? .null),
      ("committed", .optional(progress?.committed.rawValue)), ("end", .optional(progress?.end.rawValue)),
      ("lag", lag?.json ?? .null), ("inFlight", progress?.inFlight?.json ?? .null),
      ("attempts", .optional(progress?.attempts)), ("retries", .optional(progress?.retries)),
      ("batches", .optional(progress?.batches)), ("records", .optional(progress?.records)),
      ("events", .optional(progress?.events)), ("bytes", .optional(progress?.bytes)),
      ("deadLetters", .optional(progress?.deadLetters)),
      ("trouble", progress?.trouble?.json(for: scope) ?? .null),
      ("lastTrouble", progress?.lastTrouble?.json(for: scope) ?? .null),
      ("nextTry", progress?.nextTry.map { .string(ServiceTime.text($0)) } ?? .null),
      ("failure", .optional(isWhole ? failure?.message : failure?.kind)),
    ]
    return .object(members + more)
  }
}

extension ServiceDamage {
  func json(for scope: RedactionScope) -> OrderedJSON {
    .object([
      ("part", .string(part.rawValue)), ("message", .optional(scope == .company ? message : nil)),
    ])
  }
}

extension Lag {
  var json: OrderedJSON {
    func seconds(_ duration: Duration?) -> OrderedJSON { .optional(duration.map { $0 / .seconds(1) }) }
    return .object([
      ("records", .number(records)), ("bytes", .number(storedBytes)), ("seconds", seconds(age)),
      ("recordsPerSecond", .optional(recordsPerSecond)), ("appendedPerSecond", .optional(appendedPerSecond)),
      ("secondsToDrain", seconds(timeToDrain)), ("secondsToLoss", seconds(timeToLoss)),
      ("health", .string(health.rawValue)), ("words", .string(words)),
    ])
  }
}

extension CursorPause {
  var json: OrderedJSON {
    .object([("since", since.map { .string(ServiceTime.text($0)) } ?? .null), ("reason", .string(reason))])
  }
}

extension Range<Offset> {
  var json: OrderedJSON {
    .object([("first", .number(lowerBound.rawValue)), ("end", .number(upperBound.rawValue))])
  }
}

extension DeliveryTrouble {
  func json(for scope: RedactionScope) -> OrderedJSON {
    .object([
      ("kind", .string(kind.rawValue)), ("message", .optional(scope == .company ? message : nil)),
    ])
  }
}

extension Attempt {
  var json: OrderedJSON {
    .object([
      ("number", .number(number)), ("time", .string(ServiceTime.text(time))), ("range", range.json),
      ("delivery", .string(deliveryID.rawValue)), ("attempt", .number(attempt)),
      ("outcome", .string(outcome.description)), ("milliseconds", .number(Double(nanoseconds) / 1e6)),
      ("bodyBytes", .number(bodyBytes)), ("words", .string(words)),
    ])
  }
}

extension ReplayManifest {
  func json(_ running: ReplayRunner.Running?, failure: String?) async -> OrderedJSON {
    let progress = await running?.replay.progress
    let state = isFinished ? "finished" : running != nil ? "running" : failure != nil ? "failed" : "stopped"
    return .object([
      ("id", .string(id)), ("destination", .string(destination)), ("state", .string(state)),
      ("window", window.json), ("eventWindow", events?.json ?? .null),
      ("records", .number(window.upperBound - window.lowerBound)),
      ("done", .optional(isFinished ? window.upperBound - window.lowerBound : progress?.done)),
      ("secondsLeft", .optional(progress?.timeLeft.map { $0 / .seconds(1) })), ("skipped", .number(skippedRecords)),
      ("createdAt", .string(ServiceTime.text(createdAt))),
      ("finishedAt", finishedAt.map { .string(ServiceTime.text($0)) } ?? .null), ("failure", .optional(failure)),
    ])
  }
}

extension APIKey {
  /// Without the hash of its secret.
  var json: OrderedJSON {
    .object([
      ("id", .string(id)), ("name", .string(name)), ("role", .string(role.rawValue)), ("appId", .optional(appID)),
      ("requestsPerSecond", .optional(limit?.requestsPerSecond)), ("burst", .optional(limit?.burst)),
      ("createdAt", .number(createdAt)), ("revokedAt", .optional(revokedAt)),
    ])
  }
}
