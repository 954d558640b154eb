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
  /// What new batches deliver.
  let selection: EventSelection
  let environment: DeliveryEnvironment
  let progress: AsyncCondition<DeliveryProgress>
  let commands: AsyncCondition<DeliveryCommands>
  /// The batch that is accumulating.
  var pending: PendingBatch?
  /// The records of that batch, as far as they are kept: saves reading them again.
  var gathered = Gathered()
  /// Where its events come from, while the router reads for it.
  var routed: Routed?
  /// Whether it may join the router: at the start, and once it has read everything that is there.
  var mayJoin = true
  /// Batches of which one record became a dead letter, by the name of that record.
  var isolatedFrom: [DeliveryID: DeliveryID] = [:]
  /// The renderings of the open batches, kept for retries.
  var rendered: [DeliveryID: Rendering] = [:]
  var closedBy = CloseReason.reopened
  /// The newest error of log or cursor: the cause, if the delivery ends because of it.
  var lastLogError: LogError?
  /// The pause in effect.
  var pause: CursorPause?
  /// Attempts whose answers are not taken yet.
  var underWay = 0
  /// Whether the store of dead letters may hold files for this delivery.
  var holdsLetters = false
  /// Where the cursor was at the start; nil before that.
  var first: Offset?
  /// What it waits for next, where work returned no event.
  var wait = Wait()
  /// Why that wait ended; nil when that is handled.
  var woken: Wakeup?
  /// The records of the newest batch, for the failure if the delivery ends by trouble.
  var lastRange: Range<Offset>?

  struct Rendering {
    /// Without bytes where the events are sent one by one.
    var body: PreparedBody
    /// The renderings of its events, where they are sent one by one.
    var events: [SingleEvent]?
    /// Bytes of the selected records.
    var recordBytes: Int
    /// Records of the range without a readable event time, if the plan has a window of event times.
    var untimed: Int
  }

  var subject: DeliverySubject { DeliverySubject(lease, sink) }
  var waiter: DeliveryWaiter { DeliveryWaiter(source: source, clock: environment.clock, commands: commands) }

  /// Works until the delivery has ended, or has to wait and no attempt is under way: then the result is nil.
  mutating func shift() async -> Result<DeliveryReport, DeliveryFailure>? {
    let result = await withDiscardingTaskGroup { group in
      let result = await shift(&group)
      // Nothing is in flight unless another holder has taken the cursor, and then that holder continues.
      group.cancelAll()
      return result
    }
    await releaseLetters()
    return result
  }

  private mutating func shift(
    _ group: inout DiscardingTaskGroup
  ) async -> Result<DeliveryReport, DeliveryFailure>? {
    if first == nil {
      first = state.committed
      publish()
    }
    while true {
      // An answer that comes after the end says nothing of why it ended.
      if state.activity != .ended, let answer = takeAnswer() {
        apply(answer)
        continue
      }
      // Work that continues after a wait was looked at before the wait.
      if woken == nil, let change = await lookAtPause() {
        apply(change)
        continue
      }
      let event: DeliveryState.Event?
      switch state.phase {
      case .ended(let ending): return end(ending, first: first ?? state.committed)
      case .paused: event = await waitWhilePaused()
      case .working(.send(let intent, let number, let attempt)):
        event = launch(intent, event: number, attempt: attempt, &group)
      case .working(let work): event = await perform(work)
      case .sending, .pacing, .backingOff, .halted: event = await waitOut(until: state.deadline)
      }
      if let event {
        apply(event)
        switch state.phase {
        case .working(.writeDeadLetter), .working(.commit), .working(.settle): break
        default: await releaseLetters()
        }
      } else if underWay == 0 {
        return nil
      } else {
        woken = await waiter.wakeup(for: wait)
      }
    }
  }

  private mutating func releaseLetters() async {
    guard holdsLetters else { return }
    holdsLetters = false
    try? await deadLetters?.releaseUntilNextLetter()
  }

  /// True once the delivery may begin nothing new.
  var mustStop: Bool { commands.value.stop || Task.isCancelled }

  private mutating func apply(_ event: DeliveryState.Event) {
    woken = nil
    lastRange = state.range
    let (before, ahead) = (state.trouble, state.ahead)
    do throws(DeliveryState.IllegalEvent) {
      // First, so that the event's follow-up work does not begin.
      if mustStop { state.stopAfterThis() }
      try state.handle(event)
    } catch {
      state.phase = .ended(.failed(DeliveryTrouble(.defect, "\(error.event) is illegal in \(error.phase)")))
    }
    // A retry from before a wait was not meant for it. Forget it before the progress shows that the delivery waits.
    if state.trouble != nil { commands.update { $0.retry = false } }
    if let ahead, state.ahead == nil, !state.holds(ahead) { rendered[ahead.id] = nil }
    if state.phase == .paused { (rendered, pending, gathered) = ([:], nil, Gathered()) }
    if state.isWaitingLong { leaveRouter() }
    publish()
    if case .halted(_, let trouble) = state.phase, trouble != before {
      environment.logger.error("delivery halted", metadata: subject.metadata(["reason": "\(trouble)"]))
      environment.observer?(.halted(trouble))
    }
  }

  private mutating func perform(_ work: DeliveryState.Work) async -> DeliveryState.Event? {
    switch work {
    case .accumulate(let first): return await accumulate(from: first)
    case .plan(let range, let reason, _, nil): return await plan(range, closedBy: reason)
    case .plan(let range, let reason, _, .some): return await planDeadLetter(range, closedBy: reason)
    case .begin(let intent, let old, let rejectionReason):
      return await begin(intent, replacing: old, rejectionReason: rejectionReason)
    case .reopen(let intent): return await reopen(intent)
    case .bisect(let intent, _): return await bisect(intent)
    case .save:
      do throws(LogError) { try await lease.save() } catch { return failed(error) }
      return .saved
    case .send: return .failed(.illegalMove, message: "attempts are launched", at: environment.clock.now(), roll: 0)
    case .writeDeadLetter(let intent, let event, let reason):
      holdsLetters = true
      return await writeDeadLetter(intent, event: event, reason: reason)
    case .settle(let intent, let move): return await settle(intent, move)
    case .commit(let intent, let receipt, let next): return await commit(intent, receipt: receipt, beginning: next)
    }
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
    if rejectionReason == nil { tellOpened(intent) }
    return .begun(next)
  }

  private func tellOpened(_ intent: Intent) {
    environment.observer?(.opened(intent, closedBy: closedBy, eventCount: rendered[intent.id]?.body.eventCount ?? 0))
  }

  private mutating func commit(
    _ intent: Intent, receipt: String, beginning ahead: Intent?
  ) async -> DeliveryState.Event {
    let next: CursorState
    do throws(LogError) {
      next = try await lease.complete(intent.id, receipt: receipt, beginning: ahead)
    } catch { return failed(error) }
    let isDeadLetter = state.cursor.inFlight.contains { $0.intent == intent && $0.rejectionReason != nil }
    var sent = rendered.removeValue(forKey: intent.id)
    isolatedFrom[intent.id] = nil
    progress.update {
      if isDeadLetter {
        $0.deadLetters += 1
      } else {
        $0.batches += 1
        $0.records += intent.end - intent.first
        $0.events += sent?.body.eventCount ?? 0
        $0.untimed += sent?.untimed ?? 0
        $0.bytes += sent?.recordBytes ?? 0
      }
      $0.committed = next.committed
    }
    if var body = sent.take()?.body { BodyBuffers.shared.give(&body.bytes) }
    lastLogError = nil
    environment.observer?(.committed(intent, receipt: receipt))
    environment.logger.debug(
      "batch delivered",
      metadata: subject.metadata(["delivery": "\(intent.id)", "first": "\(intent.first)", "end": "\(intent.end)"]))
    if let ahead, next.inFlight.contains(where: { $0.intent == ahead }) { tellOpened(ahead) }
    return .committed(next)
  }

  mutating func failed(_ error: LogError) -> DeliveryState.Event {
    lastLogError = error
    environment.logger.error("log or cursor failed", metadata: subject.metadata(["error": "\(error)"]))
    return .failed(error.code, message: error.description, at: environment.clock.now(), roll: environment.random())
  }
}
