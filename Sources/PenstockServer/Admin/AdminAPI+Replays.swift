import Hummingbird
import PenstockDelivery
import PenstockLog
import PenstockSupport

extension AdminAPI {
  private struct ReplayBody: Decodable {
    var id: String?
    var destination: String
    var from: String?
    var to: String?
    var untimed: String?
    var recordsPerSecond: Int?
    var bytesPerSecond: Int?
    var skipGaps: Bool?
    var dryRun: Bool?
  }

  func listReplays() async -> Answer {
    do throws(LogError) {
      var views: [OrderedJSON] = []
      for manifest in try await log.replays() { views.append(await json(manifest)) }
      return Answer(200, .object([("replays", .array(views))]))
    } catch { return Answer(error) }
  }

  func replay(_ id: String) async -> Answer {
    do throws(LogError) {
      guard let manifest = try await log.replay(id) else { return Self.noSuch("replay") }
      return Answer(200, await json(manifest))
    } catch { return error.code == .invalidName ? Self.noSuch("replay") : Answer(error) }
  }

  func discardReplay(_ id: String) async -> Answer {
    do throws(LogError) {
      guard try await replays.discard(id) else { return Self.noSuch("replay") }
      return Answer(200, .object([("id", .string(id)), ("state", .string("discarded"))]))
    } catch { return error.code == .invalidName ? Self.noSuch("replay") : Answer(error) }
  }

  private func json(_ manifest: ReplayManifest) async -> OrderedJSON {
    await manifest.json(replays.running(manifest.id), failure: replays.failure(manifest.id))
  }

  /// Starts or resumes a replay, or estimates it.
  func startReplay(_ request: Request) async -> Answer {
    do {
      let body = try await SmallBody.decode(ReplayBody.self, from: request)
      guard let runner = runner(body.destination) else { return Self.noSuch("destination") }
      let settings: ReplaySettings
      switch Self.settings(body, runner.destination, now: clock.now()) {
      case .success(let made): settings = made
      case .failure(let refusal): return refusal.answer
      }
      if body.dryRun == true { return Answer(200, try await Replay.dryRun(settings, of: log).json) }
      guard try replays.start(settings, to: runner.destination) else {
        return .failure(409, "conflict", "a replay with this id is running, or the service is being shut down")
      }
      return Answer(
        202, .object([("id", .string(settings.id)), ("destination", .string(body.destination))]))
    } catch let refusal as SmallBody.Refusal {
      return refusal.answer
    } catch let error as ReplayError {
      return .failure(error.code == .badWindow || error.code == .unknown ? 400 : 409, "replay", error.message)
    } catch let error as LogError {
      return Answer(error)
    } catch let error as SinkError {
      return .failure(409, "destination", error.message)
    } catch {
      return .failure(500, "failed", "the replay could not be started")
    }
  }

  private static func settings(
    _ body: ReplayBody, _ destination: ServiceDestination, now: Timestamp
  ) -> Result<ReplaySettings, SmallBody.Refusal> {
    func wrong(_ message: String) -> Result<ReplaySettings, SmallBody.Refusal> {
      .failure(SmallBody.Refusal(answer: .failure(400, "bad_request", message)))
    }
    let id = body.id ?? "dry-run"
    guard CursorStore.isName(id), id.utf8.count <= ReplayManifest.maxIDBytes, body.id != nil || body.dryRun == true
    else {
      return wrong("id must be 1 to 40 letters, digits, '.', '_' or '-', and not begin with '.'")
    }
    var window: ReplayWindow?
    if body.from != nil || body.to != nil {
      guard let from = body.from.flatMap({ PositionParameter.position($0, now: now) }),
        let to = body.to.flatMap({ PositionParameter.position($0, now: now) })
      else {
        return wrong("from and to must be \(PositionParameter.explanation)")
      }
      guard let untimed = PositionParameter.untimed(body.untimed) else {
        return wrong(PositionParameter.untimedExplanation)
      }
      window = ReplayWindow(from: from, to: to, untimed: untimed)
    } else if body.untimed != nil {
      return wrong(PositionParameter.untimedExplanation)
    }
    if body.dryRun == true, window == nil, body.id == nil { return wrong("a dry run needs from and to") }
    for rate in [body.recordsPerSecond, body.bytesPerSecond] {
      if let rate, rate < 1 { return wrong("a rate must be at least 1") }
    }
    var rate: DeliveryRate?
    if body.recordsPerSecond != nil || body.bytesPerSecond != nil {
      rate = DeliveryRate(
        recordsPerSecond: body.recordsPerSecond.map { Double($0) },
        bytesPerSecond: body.bytesPerSecond.map { Double($0) })
    }
    return .success(
      ReplaySettings(
        id: id, window: window, gaps: body.skipGaps == true ? .skip : .stop, rate: rate,
        policy: destination.options.delivery.policy, retry: destination.options.delivery.retry))
  }
}

extension EventWindow {
  var json: OrderedJSON {
    .object([
      ("from", .optional(from.map { ServiceTime.text($0) })), ("to", .optional(until.map { ServiceTime.text($0) })),
      ("untimed", .string(untimed.rawValue)),
    ])
  }
}

extension ReplayEstimate {
  var json: OrderedJSON {
    .object([
      ("window", extent.range.json), ("eventWindow", window?.json ?? .null), ("events", .number(events)),
      ("eventBytes", .number(eventBytes)), ("untimed", .number(untimed)), ("records", .number(extent.records)),
      ("missing", .number(extent.missing)),
      ("storedBytes", .number(extent.storedBytes)), ("recordBytes", .number(extent.recordBytes)),
      ("batches", .number(batches)), ("seconds", .optional(duration.map { $0 / .seconds(1) })),
    ])
  }
}
