import Logging
import PenstockLog

/// Does what a ``DeliveryState`` says is next and tells it what came of it. Decides nothing.
struct DeliveryRunner {
  var state: DeliveryState
  let lease: any CursorLease
  let source: any RecordSource
  let sink: any Sink
  let planner: BatchPlanner
  let seams: DeliverySeams
  let observer: (@Sendable (DeliveryNotice) -> Void)?
  let board: Watched<DeliveryProgress>
  let signals: Watched<DeliverySignals>
  /// What gathering read, when that is the whole batch: saves reading it again.
  var gathered: Batch?
  /// The rendering of the batch in flight, kept for retries.
  var body: PreparedBody?
  /// Record bytes of the batch in flight.
  var batchBytes = 0
  var closedBy = CloseReason.reopened
  /// The newest error of log or cursor: the cause, if the delivery ends by it.
  var lastLogError: LogError?
  /// The records of the newest batch: what it was about, if the delivery ends by trouble.
  var lastRange: Range<Offset>?

  mutating func run() async -> Result<DeliveryReport, DeliveryFailure> {
    let first = state.committed
    publish()
    while true {
      switch state.phase {
      case .ended(let ending): return end(ending, first: first)
      case .working(let work): apply(await perform(work))
      case .backingOff(_, let until, _): apply(await pause(until: until))
      case .halted(_, let until, _): apply(await pause(until: until))
      }
    }
  }

  /// True once nothing new may be begun.
  var mustStop: Bool { signals.value.stop || Task.isCancelled }

  private mutating func apply(_ event: DeliveryState.Event) {
    lastRange = state.range
    do throws(DeliveryState.IllegalEvent) {
      // First, so that what the event leads to is not begun.
      if mustStop { try state.handle(.stop) }
      if case .ended = state.phase {} else { try state.handle(event) }
    } catch {
      state.phase = .ended(.failed(DeliveryTrouble(.defect, "\(error.event) does not follow on \(error.phase)")))
    }
    // A "go on" from before a wait was not meant for it. Forgotten before anyone can see that the delivery waits.
    if state.trouble != nil { signals.update { $0.resume = false } }
    publish()
    if case .halted(_, _, let trouble) = state.phase {
      seams.logger.error("delivery halted", metadata: ["reason": "\(trouble)"])
      observer?(.halted(trouble))
    }
  }

  private mutating func perform(_ work: DeliveryState.Work) async -> DeliveryState.Event {
    switch work {
    case .gather(let first): return await gather(from: first)
    case .plan(let range, let reason): return await plan(range, closedBy: reason)
    case .begin(let intent): return await begin(intent)
    case .reopen(let intent): return await reopen(intent)
    case .send(let intent, let attempt): return await send(intent, attempt: attempt)
    case .commit(let intent, let receipt): return await commit(intent, receipt: receipt)
    }
  }

  private mutating func plan(_ range: Range<Offset>, closedBy reason: CloseReason) async -> DeliveryState.Event {
    closedBy = reason
    let batch: Batch
    do throws(LogError) { batch = try await read(range) } catch { return failed(error) }
    do throws(SinkError) {
      return .planned(try render(batch))
    } catch {
      return .unrenderable(error)
    }
  }

  /// Fixes how a new batch is rendered, renders it, and names the result.
  private mutating func render(_ batch: Batch) throws(SinkError) -> Intent {
    let now = seams.wallClock.now()
    let plan = try sink.plan(
      BatchOutline(
        logID: source.logID, cursor: lease.name, first: batch.first, end: batch.end, byteCount: batch.byteCount,
        firstAppendTime: batch.firstAppendTime, plannedAt: now, closedBy: closedBy))
    guard plan.count <= Intent.maxPlanBytes else {
      throw SinkError("the sink's plan has \(plan.count) bytes; at most \(Intent.maxPlanBytes) are allowed")
    }
    let body = try prepare(batch, plan: plan)
    let id = DeliveryID(
      logID: source.logID, cursor: lease.name, first: batch.first, end: batch.end, contentDigest: body.contentDigest)
    return Intent(
      id: id, first: batch.first, end: batch.end, contentDigest: body.contentDigest, plan: plan, createdAt: now)
  }

  private mutating func reopen(_ intent: Intent) async -> DeliveryState.Event {
    closedBy = .reopened
    let cursor = await lease.state
    if !cursor.inFlight.contains(where: { $0.intent.id == intent.id }) {
      // Retention has cut it.
      if let gap = cursor.gap { return failed(LogError(gap)) }
      return .moved(cursor)
    }
    let batch: Batch
    do throws(LogError) { batch = try await read(intent.first..<intent.end) } catch { return failed(error) }
    do throws(SinkError) {
      let body = try prepare(batch, plan: intent.plan)
      observer?(.opened(intent, closedBy: .reopened, eventCount: body.eventCount))
      seams.logger.notice("finishing an open delivery", metadata: ["delivery": "\(intent.id)"])
      return .rendered(digest: body.contentDigest)
    } catch {
      return .unrenderable(error)
    }
  }

  private mutating func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    let prepared = try sink.prepare(batch, plan: plan)
    guard prepared.contentDigest.count == 32 else {
      throw SinkError("the sink's content digest has \(prepared.contentDigest.count) bytes instead of 32")
    }
    body = prepared
    batchBytes = batch.byteCount
    return prepared
  }

  private mutating func begin(_ intent: Intent) async -> DeliveryState.Event {
    do throws(LogError) { try await lease.begin(intent) } catch { return failed(error) }
    observer?(.opened(intent, closedBy: closedBy, eventCount: body?.eventCount ?? 0))
    return .begun
  }

  private mutating func send(_ intent: Intent, attempt: Int) async -> DeliveryState.Event {
    guard let body else {
      return .failed(.illegalMove, message: "nothing is rendered", at: seams.clock.now(), roll: 0)
    }
    board.update {
      $0.attempts += 1
      $0.attemptsAtBatch = attempt
      if attempt > 1 { $0.retries += 1 }
    }
    let pending = PendingDelivery(
      intent: intent, body: body, logID: source.logID, cursor: lease.name, attempt: attempt)
    let start = seams.clock.now()
    let outcome = await sink.deliver(pending)
    let end = seams.clock.now()
    observer?(.answered(intent, attempt: attempt, outcome, duration: end - start))
    if case .delivered = outcome {
    } else {
      seams.logger.warning(
        "delivery attempt failed",
        metadata: ["delivery": "\(intent.id)", "attempt": "\(attempt)", "outcome": "\(outcome)"])
    }
    return .answered(outcome, at: end, roll: seams.random())
  }

  private mutating func commit(_ intent: Intent, receipt: String) async -> DeliveryState.Event {
    let next: CursorState
    do throws(LogError) { next = try await lease.complete(intent.id, receipt: receipt) } catch { return failed(error) }
    let (bytes, events) = (batchBytes, body?.eventCount ?? 0)
    board.update {
      $0.batches += 1
      $0.records += intent.end - intent.first
      $0.events += events
      $0.bytes += bytes
      $0.committed = next.committed
    }
    body = nil
    lastLogError = nil
    observer?(.committed(intent, receipt: receipt))
    seams.logger.debug(
      "batch delivered", metadata: ["delivery": "\(intent.id)", "first": "\(intent.first)", "end": "\(intent.end)"])
    return .committed(next)
  }

  private mutating func read(_ range: Range<Offset>) async throws(LogError) -> Batch {
    defer { gathered = nil }
    if let gathered, gathered.first == range.lowerBound, gathered.end == range.upperBound { return gathered }
    return try await source.records(in: range)
  }

  mutating func failed(_ error: LogError) -> DeliveryState.Event {
    lastLogError = error
    seams.logger.error("log or cursor failed", metadata: ["error": "\(error)"])
    return .failed(error.code, message: error.description, at: seams.clock.now(), roll: seams.random())
  }
}
