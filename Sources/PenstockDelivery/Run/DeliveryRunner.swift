import Logging
import PenstockLog

/// Does what a ``DeliveryState`` says is next and reports the result to it. Decides nothing.
struct DeliveryRunner {
  var state: DeliveryState
  let lease: any CursorLease
  let source: any RecordSource
  let sink: any Sink
  let deadLetters: (any DeadLetterStore)?
  let attempts: AttemptLog
  let planner: BatchPlanner
  let environment: DeliveryEnvironment
  let progress: AsyncCondition<DeliveryProgress>
  let commands: AsyncCondition<DeliveryCommands>
  /// The batch that is accumulating.
  var pending: PendingBatch?
  /// The records of that batch, when one read returned all of them: saves reading them again.
  var accumulated: Batch?
  /// The renderings of the open batches, kept for retries.
  var rendered: [DeliveryID: Rendering] = [:]
  var closedBy = CloseReason.reopened
  /// The newest error of log or cursor: the cause, if the delivery ends because of it.
  var lastLogError: LogError?
  /// The pause in effect.
  var pause: CursorPause?
  /// The records of the newest batch, for the failure if the delivery ends by trouble.
  var lastRange: Range<Offset>?

  struct Rendering {
    var body: PreparedBody
    /// Bytes of the records, as they are in the log.
    var recordBytes: Int
  }

  mutating func run() async -> Result<DeliveryReport, DeliveryFailure> {
    await withDiscardingTaskGroup { group in
      let result = await run(&group)
      // Nothing is in flight unless another holder has taken the cursor, and then that holder continues.
      group.cancelAll()
      return result
    }
  }

  private mutating func run(_ group: inout DiscardingTaskGroup) async -> Result<DeliveryReport, DeliveryFailure> {
    let first = state.committed
    publish()
    while true {
      if let answer = takeAnswer() {
        apply(answer)
        continue
      }
      if let change = await lookAtPause() {
        apply(change)
        continue
      }
      switch state.phase {
      case .ended(let ending): return end(ending, first: first)
      case .paused: apply(await waitWhilePaused())
      case .working(.send(let intent, let attempt)): apply(launch(intent, attempt: attempt, &group))
      case .working(let work): apply(await perform(work))
      case .sending, .pacing, .backingOff, .halted: apply(await waitOut(until: state.deadline))
      }
    }
  }

  /// True once the delivery may begin nothing new.
  var mustStop: Bool { commands.value.stop || Task.isCancelled }

  private mutating func apply(_ event: DeliveryState.Event) {
    lastRange = state.range
    let before = state.trouble
    do throws(DeliveryState.IllegalEvent) {
      // First, so that the event's follow-up work does not begin.
      if mustStop { try state.handle(.stop) }
      if case .ended = state.phase {} else if event != .stop { try state.handle(event) }
    } catch {
      state.phase = .ended(.failed(DeliveryTrouble(.defect, "\(error.event) is illegal in \(error.phase)")))
    }
    // A retry from before a wait was not meant for it. Forget it before the progress shows that the delivery waits.
    if state.trouble != nil { commands.update { $0.retry = false } }
    if state.phase == .paused { (rendered, pending, accumulated) = ([:], nil, nil) }
    publish()
    if case .halted(_, let trouble) = state.phase, trouble != before {
      environment.logger.error("delivery halted", metadata: ["reason": "\(trouble)"])
      environment.observer?(.halted(trouble))
    }
  }

  private mutating func perform(_ work: DeliveryState.Work) async -> DeliveryState.Event {
    switch work {
    case .accumulate(let first): return await accumulate(from: first)
    case .plan(let range, let reason, _, nil): return await plan(range, closedBy: reason)
    case .plan(let range, let reason, _, .some): return await planDeadLetter(range, closedBy: reason)
    case .begin(let intent, let old, let rejectionReason):
      return await begin(intent, replacing: old, rejectionReason: rejectionReason)
    case .reopen(let intent): return await reopen(intent)
    case .send: return .failed(.illegalMove, message: "attempts are launched", at: environment.clock.now(), roll: 0)
    case .writeDeadLetter(let intent, let reason): return await writeDeadLetter(intent, reason: reason)
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
    let now = environment.wallClock.now()
    let plan = try sink.plan(
      BatchMetadata(
        logID: source.logID, cursor: lease.name, first: batch.first, end: batch.end, byteCount: batch.byteCount,
        firstAppendTime: batch.firstAppendTime, plannedAt: now, closedBy: closedBy))
    guard plan.count <= Intent.maxPlanBytes else {
      throw SinkError("the sink's plan has \(plan.count) bytes; at most \(Intent.maxPlanBytes) are allowed")
    }
    let body = try prepare(batch, plan: plan)
    let intent = intent(batch, digest: body.contentDigest, plan: plan)
    rendered[intent.id] = Rendering(body: body, recordBytes: batch.byteCount)
    return intent
  }

  func intent(_ batch: Batch, digest: [UInt8], plan: [UInt8]) -> Intent {
    let id = DeliveryID(
      logID: source.logID, cursor: lease.name, first: batch.first, end: batch.end, contentDigest: digest)
    return Intent(
      id: id, first: batch.first, end: batch.end, contentDigest: digest, plan: plan,
      createdAt: environment.wallClock.now())
  }

  private mutating func reopen(_ intent: Intent) async -> DeliveryState.Event {
    closedBy = .reopened
    let cursor = await lease.state
    if !cursor.inFlight.contains(where: { $0.intent.id == intent.id }) {
      // Retention has deleted its records.
      if let gap = cursor.gap { return failed(LogError(gap)) }
      return .moved(cursor)
    }
    let batch: Batch
    do throws(LogError) { batch = try await read(intent.first..<intent.end) } catch { return failed(error) }
    do throws(SinkError) {
      let body = try prepare(batch, plan: intent.plan)
      rendered[intent.id] = Rendering(body: body, recordBytes: batch.byteCount)
      environment.observer?(.opened(intent, closedBy: .reopened, eventCount: body.eventCount))
      environment.logger.notice("finishing an open delivery", metadata: ["delivery": "\(intent.id)"])
      return .rendered(digest: body.contentDigest)
    } catch {
      return .unrenderable(error)
    }
  }

  private func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    let prepared = try sink.prepare(batch, plan: plan)
    guard prepared.contentDigest.count == 32 else {
      throw SinkError("the sink's content digest has \(prepared.contentDigest.count) bytes instead of 32")
    }
    return prepared
  }

  private mutating func begin(
    _ intent: Intent, replacing old: Intent?, rejectionReason: String?
  ) async -> DeliveryState.Event {
    let next: CursorState
    do throws(LogError) {
      if let old {
        next = try await lease.replace(old.id, with: intent, rejectionReason: rejectionReason)
      } else {
        try await lease.begin(intent, rejectionReason: rejectionReason)
        next = await lease.state
      }
    } catch { return failed(error) }
    if let old, old != intent {
      rendered[old.id] = nil
      environment.observer?(.split(old, reason: "records \(intent.first) ..< \(intent.end) are sent by themselves"))
    }
    if rejectionReason == nil {
      environment.observer?(.opened(intent, closedBy: closedBy, eventCount: rendered[intent.id]?.body.eventCount ?? 0))
    }
    return .begun(next)
  }

  private mutating func commit(_ intent: Intent, receipt: String) async -> DeliveryState.Event {
    let next: CursorState
    do throws(LogError) { next = try await lease.complete(intent.id, receipt: receipt) } catch { return failed(error) }
    let isDeadLetter = state.cursor.inFlight.contains { $0.intent == intent && $0.rejectionReason != nil }
    let sent = rendered.removeValue(forKey: intent.id)
    progress.update {
      if isDeadLetter {
        $0.deadLetters += 1
      } else {
        $0.batches += 1
        $0.records += intent.end - intent.first
        $0.events += sent?.body.eventCount ?? 0
        $0.untimed += sent?.body.untimedCount ?? 0
        $0.bytes += sent?.recordBytes ?? 0
      }
      $0.committed = next.committed
    }
    lastLogError = nil
    environment.observer?(.committed(intent, receipt: receipt))
    environment.logger.debug(
      "batch delivered", metadata: ["delivery": "\(intent.id)", "first": "\(intent.first)", "end": "\(intent.end)"])
    return .committed(next)
  }

  mutating func read(_ range: Range<Offset>) async throws(LogError) -> Batch {
    defer { accumulated = nil }
    if let batch = accumulated, batch.first == range.lowerBound, batch.end == range.upperBound { return batch }
    return try await source.records(in: range)
  }

  mutating func failed(_ error: LogError) -> DeliveryState.Event {
    lastLogError = error
    environment.logger.error("log or cursor failed", metadata: ["error": "\(error)"])
    return .failed(error.code, message: error.description, at: environment.clock.now(), roll: environment.random())
  }
}
