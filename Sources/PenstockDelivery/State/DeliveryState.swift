package import PenstockLog

/// The state of one delivery, and the only moves it may make. A pure value: an event comes in, and ``phase`` says what
/// to do next. The shell (``DeliveryRunner``) does it and reports the result as the next event.
///
/// The delivery does one piece of work at a time. Only attempts run concurrently: one for each *open delivery*, an
/// intent that is open in the cursor:
/// ```
/// unrendered   opened by an earlier process             reopen: rendered, equal digest → ready
/// ready        rendered                                 send: launched → in flight
///                                                       pause → unrendered
/// in flight    one attempt is under way                 answer delivered → delivered
///                                                       retry, refused, disabled, conflict → ready, suspended
///                                                       rejected → rejected; no dead-letter store: ready, halted
/// delivered    the destination confirmed the batch      commit: committed → no longer open
/// rejected     more than one event                      plan and begin the lower half in its place → ready
///              one event                                begin that record, marked as rejected → dead letter
/// dead letter  is never sent again                      write the dead letter, once it is the oldest → delivered
/// ```
/// A batch whose events are sent one by one stays *ready* while they are; ``EventAttempts`` has a step for each event.
/// Its intent is planned, begun and reopened like any other. It is never split: a rejected event is *condemned* in the
/// cursor when all lower ones are settled; its dead letter is written, and then it is settled, too. Two such batches
/// may be open.
///
/// ``priorities`` decides what to do next. The first rule that applies wins:
/// 1. *commit*: commit a batch that is delivered, unless the log or the cursor suspends the delivery. Settle confirmed
///    events that are the last of their batch; others when no event can be sent now.
/// 2. *save*: write where the cursor is, when it has skipped records for 5 s and before anything that an operator sees.
/// 3. *end*: when stopping or ending, wait for the answers in flight, then end.
/// 4. *pause*: while paused, wait for the answers in flight, then begin nothing.
/// 5. *suspend*: back off, or stay halted until an operator acts. After a refusal the delivery also retries by itself.
/// 6. *dead letter*: write the dead letter of the oldest open delivery, or condemn its lowest event.
/// 7. *unfinished*: repeat a plan or a beginning that failed.
/// 8. *bisect*: replace the oldest open delivery, if it is rejected, by the lower half of its events.
/// 9. *attempt*: reopen or send the oldest open delivery or event that waits, as far as circuit and rate allow.
/// 10. *reserved*: plan the records that a split has reserved.
/// 11. *caught up*: end, when everything up to the requested end is committed.
/// 12. *ahead*: begin the batch that is planned ahead, if there is room and no open delivery is in trouble.
/// 13. *accumulate*: start a new batch, if there is room, or one may be planned ahead, and no open delivery is in
///     trouble.
/// 14. *answers*: wait for the answers in flight.
///
/// A new batch takes the steps accumulate → plan → begin → ready. With ``plansAhead`` one more batch is planned while
/// as many are open as may be. It is begun in the write that commits the oldest, or alone once there is room. Trouble,
/// a pause, a split or a gap drop it, and a commit never waits for it. A record that cannot be rendered is planned as a
/// dead letter; the records before it go first. When the log cannot be read or written, any work leads to backing off,
/// halted or ended; see `DeliveryState+Waiting`. `stop` ends a delivery that waits. A delivery that works finishes that
/// work first; no attempt follows one that failed. A delivery that runs until it has caught up ends where a service
/// halts.
///
/// `pause` takes effect between two pieces of work, and cancels the next piece unless that is a commit. Attempts in
/// flight are answered, and delivered batches are committed. Everything else stays in the cursor, as a restart would
/// find it. The state keeps nothing else in memory, because a pause may last for days. `resume` continues from there. A
/// suspension from before the pause still holds, less the time that has passed.
///
/// Invariants (an exhaustive test checks them over all sequences of events)
/// 1. An attempt is made only for an intent that is durable, and never for one that is marked as rejected.
/// 2. An attempt is made only after a rendering, in this process, whose digest is the intent's.
/// 3. A commit follows only a `delivered` answer to an attempt for the same intent, or its dead letter.
/// 4. Nothing that is wanted is skipped: a batch begins where the one before ends, or after records that the selection
///    leaves out. Only its commit passes it, or an operator who acknowledges that it is lost.
/// 5. A stopped delivery begins no attempt and no batch.
/// 6. First attempts are made in the order of offsets.
/// 7. There is no deadlock: work, an attempt in flight, a moment, or an operator ends every phase but the last.
/// 8. A paused delivery begins nothing, and passes nothing but what was delivered.
package struct DeliveryState: Hashable, Sendable {
  package enum Work: Hashable, Sendable {
    case accumulate(from: Offset)
    /// `rejectionReason`: why the one record must not be rendered.
    case plan(Range<Offset>, closedBy: CloseReason, replacing: Intent?, rejectionReason: String?)
    case begin(Intent, replacing: Intent?, rejectionReason: String?)
    case reopen(Intent)
    /// Finds the half of a rejected batch to send, or its one event.
    case bisect(Intent, reason: String)
    /// Writes where the cursor is after skipped records.
    case save
    /// `event`: its number in a batch whose events are sent one by one; nil for a batch that is sent as a whole.
    /// `attempt` is 1 for the first in this process.
    case send(Intent, event: Int? = nil, attempt: Int)
    case writeDeadLetter(Intent, event: Int? = nil, reason: String)
    /// `beginning`: the batch that is planned ahead, if the same write may begin it.
    case commit(Intent, receipt: String, beginning: Intent? = nil)
    /// Stores what came of events.
    case settle(Intent, EventMove)
  }

  package enum Phase: Hashable, Sendable {
    case working(Work)
    /// Attempts are in flight, and there is no other work.
    case sending
    /// The next attempt waits for its ``DeliveryRate``, or because the destination was down.
    case pacing(until: MonotonicInstant)
    case backingOff(until: MonotonicInstant, DeliveryTrouble)
    /// `until` is nil when only an operator can end it.
    case halted(until: MonotonicInstant?, DeliveryTrouble)
    /// An operator has paused the destination, and only an operator resumes it.
    case paused
    case ended(Ending)
  }

  package enum Ending: Hashable, Sendable {
    case caughtUp, stopped, sourceClosed, paused
    case failed(DeliveryTrouble)
  }

  /// How long a delivery runs.
  package enum Mode: Hashable, Sendable {
    /// Until it is stopped. It waits trouble out.
    case service
    /// Until the cursor has reached this offset. Trouble that needs an operator ends it.
    case until(Offset)
  }

  package enum Event: Hashable, Sendable {
    case accumulated(Range<Offset>, CloseReason)
    /// The cursor has moved, in memory, past records that are not selected. Its position is written now or, unless
    /// `savesAtOnce`, after ``saveAfter``.
    case skipped(CursorState, savesAtOnce: Bool, at: MonotonicInstant)
    /// What was skipped is durable.
    case saved
    /// The lower part of a rejected batch, to be sent in its place.
    case halved(Range<Offset>)
    /// The one event of a rejected batch, under its own name.
    case isolated(Intent)
    /// A rejected batch without an event.
    case indivisible
    case sourceClosed
    case planned(Intent)
    case rendered(digest: [UInt8])
    case unrenderable(SinkError)
    /// The intent is durable, and this is the cursor's state now.
    case begun(CursorState)
    case launched(at: MonotonicInstant, records: Int, bytes: Int)
    /// `roll`: 64 random bits for the backoff.
    case answered(DeliveryID, event: Int? = nil, DeliveryOutcome, at: MonotonicInstant, roll: UInt64)
    /// The event to be sent cannot be rendered.
    case unsendable(SinkError)
    /// What came of events is durable.
    case settled(CursorState)
    /// The dead letter is durable.
    case wroteDeadLetter(receipt: String)
    case committed(CursorState)
    /// The cursor is not where this delivery left it: retention passed it, and an operator acknowledged that.
    case moved(CursorState)
    case failed(LogError.Code, message: String, at: MonotonicInstant, roll: UInt64)
    case wake(at: MonotonicInstant)
    /// An operator wants the next attempt now. Has no effect on a delivery that does not wait.
    case retryNow
    /// An operator has paused the destination. Comes between two pieces of work.
    case pause
    /// An operator has resumed the destination.
    case resume(at: MonotonicInstant)
    case stop
  }

  /// An event that the phase does not take. The state is as before.
  package struct IllegalEvent: Error, Hashable, Sendable {
    package let event: Event
    package let phase: Phase
  }

  package let mode: Mode
  package let options: DeliveryOptions
  /// Whether rejected records become dead letters.
  package let writesDeadLetters: Bool
  /// How many batches may be open at once.
  package let maxOpen: Int
  /// Whether one more batch is planned while as many are open.
  package let plansAhead: Bool
  package internal(set) var cursor: CursorState
  /// Open intents that are not committed, oldest first.
  package internal(set) var open: [OpenDelivery] = []
  package internal(set) var phase: Phase
  package internal(set) var isStopping = false
  package internal(set) var isPaused = false
  /// How the delivery ends as soon as nothing is in flight.
  package internal(set) var ending: Ending?
  package internal(set) var suspension: Suspension?
  package internal(set) var circuit: Circuit
  package internal(set) var budget: RateBudget
  /// The earliest moment of the next attempt, while the destination drains after an outage.
  package internal(set) var drainGate: MonotonicInstant?
  /// The newest moment in any event.
  package internal(set) var seen = MonotonicInstant(sinceStart: .zero)
  /// A plan or a beginning that failed and will be repeated.
  package internal(set) var unfinished: Work?
  /// A batch that is planned and rendered, and waits for room. Its beginning shares a write with a commit.
  package internal(set) var ahead: Intent?
  /// Whether planning ahead has failed: the batch is planned again when there is room.
  package internal(set) var isAheadBlocked = false
  /// Attempts whose batch retention has deleted: their answers are ignored.
  package internal(set) var abandoned: [DeliveryID: Int] = [:]
  /// Since when the cursor has been ahead of what is durable of it; nil while it is not.
  package internal(set) var skippedSince: MonotonicInstant?
  /// The most dead letters in a row; see ``RejectionPolicy/maxInRow``.
  package internal(set) var maxDeadLettersInRow: Int

  package var committed: Offset { cursor.committed }

  /// Starts at the cursor's position: with its oldest open intent, if there is one.
  package init(
    _ cursor: CursorState, mode: Mode, retry: RetryPolicy, options: DeliveryOptions = DeliveryOptions(),
    writesDeadLetters: Bool = false, sendsSingleEvents: Bool = false, plansAhead: Bool = false
  ) {
    self.mode = mode
    self.options = options
    self.writesDeadLetters = writesDeadLetters && options.rejection.action == .deadLetter
    // The second is ready when only the last events of the first are in flight.
    maxOpen = sendsSingleEvents ? 2 : min(options.maxInFlight, CursorState.maxInFlight)
    self.plansAhead = plansAhead && !sendsSingleEvents
    self.cursor = cursor
    circuit = Circuit(options.circuit, retry: retry)
    budget = RateBudget(options.rate)
    maxDeadLettersInRow = options.rejection.maxInRow
    phase = .sending
    adopt(cursor)
    phase = next()
  }

  package mutating func handle(_ event: Event) throws(IllegalEvent) {
    switch event {
    case .stop: stop()
    case .retryNow: retryNow()
    case .pause: pause()
    case .resume(let now): resume(at: now)
    case .wake(let now): try wake(at: now)
    case .answered(let id, let number, let outcome, let now, let roll):
      try answered(id, number, outcome, event, at: now, roll: roll)
    default:
      guard case .working(let work) = phase, let next = next(after: work, event) else {
        throw IllegalEvent(event: event, phase: phase)
      }
      phase = next
    }
  }

  /// Nil when the work cannot end in such an event.
  private mutating func next(after work: Work, _ event: Event) -> Phase? {
    switch (work, event) {
    case (.accumulate(let first), .accumulated(let range, let reason)):
      guard range.lowerBound == first, !range.isEmpty else { return nil }
      return begin(.plan(range, closedBy: reason, replacing: nil, rejectionReason: nil))
    case (.accumulate, .sourceClosed): return end(.sourceClosed)
    case (.accumulate, .skipped(let cursor, let savesAtOnce, let now)),
      (.plan(_, _, nil, nil), .skipped(let cursor, let savesAtOnce, let now)):
      return skipped(cursor, savesAtOnce: savesAtOnce, at: now)
    case (.save, .saved):
      skippedSince = nil
      return next()
    case (.plan(let range, _, let old, let rejectionReason), .planned(let intent)):
      guard intent.first == range.lowerBound, intent.end == range.upperBound else { return nil }
      if old == nil, rejectionReason == nil, isAhead(range.lowerBound) { return planned(ahead: intent) }
      return begin(.begin(intent, replacing: old, rejectionReason: rejectionReason))
    case (.plan(let range, _, nil, nil), .unrenderable) where isAhead(range.lowerBound): return notPlannedAhead()
    case (.plan(let range, let reason, let old, nil), .unrenderable(let error)):
      return unrenderable(range, closedBy: reason, replacing: old, error)
    case (.bisect(let intent, _), .halved(let lower)):
      guard lower.lowerBound == intent.first, !lower.isEmpty, lower.upperBound < intent.end else { return nil }
      return begin(.plan(lower, closedBy: .split, replacing: intent, rejectionReason: nil))
    case (.bisect(let intent, let reason), .isolated(let record)):
      guard record.first >= intent.first, record.end == record.first + 1, record.end <= intent.end else { return nil }
      return isolated(record, of: intent, reason)
    case (.bisect(let intent, let reason), .indivisible):
      // A pause before this may have dropped the rendering.
      update(intent) { $0.step = .unrendered }
      return halt(DeliveryTrouble(.rejected, reason))
    case (.reopen, .unrenderable(let error)), (.bisect, .unrenderable(let error)):
      return halt(DeliveryTrouble(.unrenderable, error.description))
    case (.begin(let intent, _, let rejectionReason), .begun(let cursor)):
      return begun(intent, rejectionReason: rejectionReason, cursor)
    case (.reopen(let intent), .rendered(let digest)):
      guard digest == intent.contentDigest else { return halt(Self.contentChanged(intent)) }
      update(intent) { $0.step = .ready }
      return next()
    case (.accumulate, .moved(let cursor)), (.reopen, .moved(let cursor)):
      guard cursor.committed >= committed, cursor.lost == nil else { return nil }
      adopt(cursor)
      return next()
    case (.send(let intent, let number, _), .launched(let now, let records, let bytes)):
      launched(intent, number, records: records, bytes: bytes, at: now)
      return next()
    case (.send(let intent, let number?, _), .unsendable(let error)):
      return unsendable(number, of: intent, error)
    case (.writeDeadLetter(let intent, nil, _), .wroteDeadLetter(let receipt)):
      update(intent) { $0.step = .delivered(receipt: receipt) }
      return next()
    case (.writeDeadLetter(let intent, let number?, _), .wroteDeadLetter(let receipt)):
      update(intent) { $0.events?.events[number].step = .lettered(receipt: receipt) }
      return next()
    case (.settle(let intent, let move), .settled(let cursor)): return settled(intent, move, cursor)
    case (.commit(let intent, _, let next), .committed(let cursor)): return committed(intent, next, cursor)
    case (_, .failed(let code, let message, let now, let roll)):
      return failed(work, code, message: message, at: now, roll: roll)
    default: return nil
    }
  }

  private mutating func begun(_ intent: Intent, rejectionReason: String?, _ cursor: CursorState) -> Phase? {
    guard cursor.inFlight.contains(where: { $0.intent == intent }) else {
      // Retention deleted the records before the intent was durable.
      guard cursor.lost == nil else {
        return halt(DeliveryTrouble(.unreadable, "retention deleted the records of delivery \(intent.id)"))
      }
      return nil
    }
    adopt(cursor)
    skippedSince = nil
    if rejectionReason == nil { update(intent) { $0.step = .ready } }
    return next()
  }

  private mutating func committed(_ intent: Intent, _ beginning: Intent?, _ cursor: CursorState) -> Phase {
    let isDone = !cursor.inFlight.contains { $0.intent.id == intent.id && !$0.isDelivered }
    let isPassed = cursor.committed >= intent.end || cursor.inFlight.contains { $0.intent.id == intent.id }
    guard isDone, isPassed else {
      let text = "delivery \(intent.id) was committed, but the cursor is at \(cursor.committed)"
      return .ended(.failed(DeliveryTrouble(.defect, text)))
    }
    adopt(cursor)
    if let beginning { update(beginning) { $0.step = .ready } }
    skippedSince = nil
    return next()
  }

  /// Takes over the cursor's state: one open delivery for each open intent.
  mutating func adopt(_ cursor: CursorState) {
    self.cursor = cursor
    isAheadBlocked = false
    // It was begun, or the records before it are others now.
    if let first = ahead?.first, first != cursor.nextFirst || !cursor.reserved.isEmpty { ahead = nil }
    let before = open
    open = cursor.inFlight.filter { !$0.isDelivered }.map { entry in
      var delivery =
        before.first { $0.intent == entry.intent } ?? OpenDelivery(intent: entry.intent, step: .unrendered)
      if let events = entry.events {
        if delivery.events == nil { delivery.events = EventAttempts(events) } else { delivery.events?.adopt(events) }
      }
      guard let reason = entry.rejectionReason else { return delivery }
      // Its dead letter is durable, and only the commit is missing.
      if case .delivered = delivery.step { return delivery }
      delivery.step = .deadLetter(reason: reason)
      return delivery
    }
    for delivery in before
    where delivery.isInFlight && !open.contains(where: { $0.intent.id == delivery.intent.id }) {
      abandoned[delivery.intent.id] = delivery.inFlight
    }
  }

  mutating func update(_ intent: Intent, _ change: (inout OpenDelivery) -> Void) {
    guard let index = open.firstIndex(where: { $0.intent == intent }) else { return }
    change(&open[index])
  }

  private static func contentChanged(_ intent: Intent) -> DeliveryTrouble {
    DeliveryTrouble(
      .contentChanged,
      "delivery \(intent.id) was rendered again, and its digest differs from its intent's; it is not sent. The sink"
        + " must render an open batch as it did when the batch was opened: run the version that opened it")
  }
}
