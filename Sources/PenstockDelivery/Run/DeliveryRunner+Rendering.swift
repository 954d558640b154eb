import Logging
import PenstockLog

extension DeliveryRunner {
  mutating func plan(_ range: Range<Offset>, closedBy reason: CloseReason) async -> DeliveryState.Event {
    closedBy = reason
    var choice: Result<Selected, SinkError>
    var plan: [UInt8] = []
    do throws(LogError) {
      choice = try await select(range)
      if case .success(let selected) = choice {
        if selected.batch.count == 0, mayPass(range) {
          return try await skip(to: range.upperBound, untimed: selected.untimed)
        }
        do throws(SinkError) { plan = try self.plan(selected.batch) } catch { return .unrenderable(error) }
        choice = try await opened(selected, for: plan)
      }
    } catch { return failed(error) }
    do throws(SinkError) {
      return .planned(try render(try choice.get(), plan: plan))
    } catch {
      return .unrenderable(error)
    }
  }

  /// Fixes how a new batch is rendered.
  private func plan(_ batch: Batch) throws(SinkError) -> [UInt8] {
    let now = environment.wallClock.now()
    let plan = try sink.plan(
      BatchMetadata(
        logID: source.logID, cursor: lease.name, first: batch.first, end: batch.end, byteCount: batch.byteCount,
        firstAppendTime: batch.firstAppendTime, plannedAt: now, closedBy: closedBy))
    guard plan.count <= Intent.maxPlanBytes else {
      throw SinkError("the sink's plan has \(plan.count) bytes; at most \(Intent.maxPlanBytes) are allowed")
    }
    return plan
  }

  /// Renders a new batch and names the result.
  private mutating func render(_ selected: Selected, plan: [UInt8]) throws(SinkError) -> Intent {
    let batch = selected.batch
    let isSingle = sink.isSentEventByEvent && batch.count > 0
    let rendering = try rendering(of: selected, plan: plan, isSingle: isSingle)
    let intent = intent(
      batch.first..<batch.end, digest: rendering.body.contentDigest, plan: plan,
      singleEvents: isSingle ? batch.count : nil)
    rendered[intent.id] = rendering
    return intent
  }

  func intent(_ range: Range<Offset>, digest: [UInt8], plan: [UInt8], singleEvents: Int? = nil) -> Intent {
    let id = DeliveryID(
      logID: source.logID, cursor: lease.name, first: range.lowerBound, end: range.upperBound, contentDigest: digest)
    return Intent(
      id: id, first: range.lowerBound, end: range.upperBound, contentDigest: digest, plan: plan,
      createdAt: environment.wallClock.now(), singleEvents: singleEvents)
  }

  mutating func reopen(_ intent: Intent) async -> DeliveryState.Event {
    closedBy = .reopened
    let cursor = await lease.state
    if !cursor.inFlight.contains(where: { $0.intent.id == intent.id }) {
      // Retention has deleted its records.
      if let gap = cursor.gap { return failed(LogError(gap)) }
      return .moved(cursor)
    }
    let choice: Result<Selected, SinkError>
    do throws(LogError) { choice = try await select(intent) } catch { return failed(error) }
    do throws(SinkError) {
      let rendering = try rendering(of: try choice.get(), plan: intent.plan, isSingle: intent.singleEvents != nil)
      rendered[intent.id] = rendering
      environment.observer?(.opened(intent, closedBy: .reopened, eventCount: rendering.body.eventCount))
      environment.logger.notice("finishing an open delivery", metadata: subject.metadata(["delivery": "\(intent.id)"]))
      let isWhole = rendering.events?.count == intent.singleEvents
      return .rendered(digest: isWhole ? rendering.body.contentDigest : [])
    } catch {
      return .unrenderable(error)
    }
  }

  private func rendering(of selected: Selected, plan: [UInt8], isSingle: Bool) throws(SinkError) -> Rendering {
    if isSingle { return try renderSingles(selected, plan: plan) }
    let body = try prepare(selected.batch, plan: plan)
    return Rendering(body: body, recordBytes: selected.batch.byteCount, untimed: selected.untimed)
  }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    let prepared = try sink.prepare(batch, plan: plan)
    guard prepared.contentDigest.count == 32 else {
      throw SinkError("the sink's content digest has \(prepared.contentDigest.count) bytes instead of 32")
    }
    return prepared
  }

  /// Finds the half of a rejected batch by its events, because records that are not sent cannot be to blame.
  mutating func bisect(_ intent: Intent) async -> DeliveryState.Event {
    let batch: Batch
    do throws(LogError) {
      switch try await select(intent) {
      case .success(let selected): batch = selected.batch
      case .failure(let error): return .unrenderable(error)
      }
    } catch { return failed(error) }
    guard batch.count > 0 else { return .indivisible }
    guard batch.count == 1 else { return .halved(intent.first..<(batch.offset(at: (batch.count - 1) / 2) + 1)) }
    let guilty = batch.offset(at: 0)
    if guilty > intent.first, sink.recordsEveryRange { return .halved(intent.first..<guilty) }
    if guilty + 1 == intent.end, guilty == intent.first { return .isolated(intent) }
    // The batch's one event has the same bytes by itself.
    let record = self.intent(guilty..<(guilty + 1), digest: intent.contentDigest, plan: intent.plan)
    isolatedFrom[record.id] = intent.id
    return .isolated(record)
  }
}
