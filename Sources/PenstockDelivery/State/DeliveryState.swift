package import PenstockLog

/// Where one delivery stands, and the only moves it may make. A pure value: an event comes in, ``phase`` says what is to
/// be done next. The shell (``DeliveryRunner``) does it and reports what came of it as the next event.
///
/// Work is done one piece after the other; only attempts go on beside it, one for each *lane*. A lane is an open intent:
/// ```
/// unrendered  open in the cursor, by a process before this one     reopen: rendered, digest equal → ready
/// ready       rendered                                             send: launched → in the air
/// in the air  one attempt is under way                             answered delivered → delivered
///                                                                  retry, refused, disabled, conflict → ready, held
///                                                                  rejected → rejected; if nobody buries: ready, halted
/// ready       the delivery is paused                               unrendered
/// delivered   confirmed                                            commit: committed → no lane any more
/// rejected    more than one record                                 plan, begin of the lower half in its place → ready
///             one record                                           begin of itself, condemned → condemned
/// condemned   will not be sent                                     bury, once it is the oldest: deadLettered → delivered
/// ```
/// What is done next, the first that applies: commit what is delivered · end, if stopping and nothing is in the air · nothing,
/// while a person has *paused* it and nothing is in the air · wait, while the destination is *held* (backing off, or halted until
/// a person, after a refusal also until a moment) · bury · take up what failed to be written · split · reopen · send · plan what a split reserved · gather a new batch, if a lane is free and
/// no other is in trouble · wait for answers.
///
/// New batches go gather → plan → begin → ready. A record that cannot be rendered is planned as condemned; what stood before
/// it in its batch goes first. A log that cannot be read or written leads from any work to backing off, halted or ended; see
/// `DeliveryState+Waiting`. `stop` ends a delivery that waits; one that works does what it is at first, but an attempt that
/// failed is not followed by another. A delivery that runs until it has caught up ends where a service halts.
///
/// `pause` comes between two pieces of work, and takes back what was to be done next unless that is a commit: what is in the air
/// is answered, what is delivered is committed, and everything else stays in the cursor as a restart would find it. Nothing is
/// kept in memory for it, since a pause may last for days. `resume` goes on from there; what held the destination before still
/// does, but for the time that has passed.
///
/// Invariants (checked over all sequences of events by the exhaustive test)
/// 1. An attempt is made only for an intent that is durable, and none for one that is condemned.
/// 2. An attempt is made only after a rendering, in this process, whose digest is the intent's.
/// 3. A commit follows only a `delivered` answer to an attempt for the same intent, or its dead letter.
/// 4. Nothing is skipped: a batch begins where the one before ends, and the only way past it is its commit,
///    or a person's word that it is lost.
/// 5. A stopped delivery begins no attempt and no batch.
/// 6. First attempts are made in the order of offsets.
/// 7. It never stands still: work, an attempt in the air, a moment, or a person ends every phase but the last.
/// 8. A paused delivery begins nothing, and passes nothing but what was delivered.
package struct DeliveryState: Hashable, Sendable {
  package enum Work: Hashable, Sendable {
    case accumulate(from: Offset)
    /// `rejectionReason`: why the one record is not to be rendered.
    case plan(Range<Offset>, closedBy: CloseReason, replacing: Intent?, rejectionReason: String?)
    case begin(Intent, replacing: Intent?, rejectionReason: String?)
    case reopen(Intent)
    /// `attempt` is 1 for the first in this process.
    case send(Intent, attempt: Int)
    case writeDeadLetter(Intent, reason: String)
    case commit(Intent, receipt: String)
  }

  package enum Phase: Hashable, Sendable {
    case working(Work)
    /// Attempts are in the air, and there is nothing else to do.
    case sending
    /// The next attempt waits for its ``DeliveryRate``, or because the destination was down.
    case pacing(until: MonotonicInstant)
    case backingOff(until: MonotonicInstant, DeliveryTrouble)
    /// `until` is nil when only a person can end it.
    case halted(until: MonotonicInstant?, DeliveryTrouble)
    /// A person wants nothing to be sent, and only a person ends it.
    case paused
    case ended(Ending)
  }

  package enum Ending: Hashable, Sendable {
    case caughtUp, stopped, sourceClosed, paused
    case failed(DeliveryTrouble)
  }

  /// How long a delivery goes on.
  package enum Mode: Hashable, Sendable {
    /// Until it is stopped; trouble is waited out.
    case service
    /// Until the cursor has reached this offset; trouble that needs a person ends it.
    case until(Offset)
  }

  package struct Lane: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
      case unrendered, ready
      /// `round`: see ``Circuit/round``.
      case inFlight(round: Int)
      case delivered(receipt: String)
      case rejected(reason: String)
      case rejectionReason(reason: String)
    }
    package let intent: Intent
    package var step: Step
    /// Attempts in this process.
    package var attempts = 0

    package var isInAir: Bool { if case .inFlight = step { true } else { false } }
    /// Whether nothing is wrong with it so far: it has not been attempted in vain.
    package var isSmooth: Bool {
      switch step {
      case .inFlight: attempts == 1
      case .delivered: true
      case .ready, .unrendered: attempts == 0
      case .rejected, .rejectionReason: false
      }
    }
  }

  /// Keeps the destination from being attempted.
  package struct Hold: Hashable, Sendable {
    package var trouble: DeliveryTrouble
    package var until: MonotonicInstant?
    package var needsPerson: Bool
  }

  package enum Event: Hashable, Sendable {
    case gathered(Range<Offset>, CloseReason)
    case sourceClosed
    case planned(Intent)
    case rendered(digest: [UInt8])
    case unrenderable(SinkError)
    /// The intent is durable; so stands the cursor now.
    case begun(CursorState)
    case launched(at: MonotonicInstant, records: Int, bytes: Int)
    /// `roll`: 64 random bits for the backoff.
    case answered(DeliveryID, DeliveryOutcome, at: MonotonicInstant, roll: UInt64)
    /// The dead letter is durable.
    case wroteDeadLetter(receipt: String)
    case committed(CursorState)
    /// The cursor stands elsewhere than this delivery left it: retention passed it, and that was acknowledged.
    case moved(CursorState)
    case failed(LogError.Code, message: String, at: MonotonicInstant, roll: UInt64)
    case wake(at: MonotonicInstant)
    /// A person says: try now. Has no effect on a delivery that does not wait.
    case retryNow
    /// A person has paused the destination. Told between two pieces of work.
    case pause
    /// It may go on.
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
  /// Whether there is a place for dead letters.
  package let writesDeadLetters: Bool
  package internal(set) var cursor: CursorState
  /// Open intents that are not delivered, oldest first.
  package internal(set) var lanes: [Lane] = []
  package internal(set) var phase: Phase
  package internal(set) var isStopping = false
  package internal(set) var isPaused = false
  /// How it will end, as soon as nothing is in the air.
  package internal(set) var ending: Ending?
  package internal(set) var hold: Hold?
  package internal(set) var circuit: Circuit
  package internal(set) var budget: RateBudget
  /// The next attempt is not to be made before this.
  package internal(set) var drainGate: MonotonicInstant?
  /// The newest moment any event told.
  package internal(set) var seen = MonotonicInstant(sinceStart: .zero)
  /// A plan or a beginning that failed and is to be taken up again.
  package internal(set) var unfinished: Work?
  /// Attempts whose batch retention has taken away: their answers mean nothing any more.
  package internal(set) var abandoned: Set<DeliveryID> = []
  /// So many dead letters in a row are the most; see ``RejectionPolicy/maxInRow``.
  package internal(set) var maxCondemnedInRow: Int

  package var committed: Offset { cursor.committed }

  /// Starts where the cursor stands: with its oldest open intent, if there is one.
  package init(
    _ cursor: CursorState, mode: Mode, retry: RetryPolicy, options: DeliveryOptions = DeliveryOptions(),
    writesDeadLetters: Bool = false
  ) {
    self.mode = mode
    self.options = options
    self.writesDeadLetters = writesDeadLetters && options.rejection.action == .deadLetter
    self.cursor = cursor
    circuit = Circuit(options.circuit, retry: retry)
    budget = RateBudget(options.rate)
    maxCondemnedInRow = options.rejection.maxInRow
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
    case .answered(let id, let outcome, let now, let roll):
      try answered(id, outcome, event, at: now, roll: roll)
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
    case (.accumulate(let first), .gathered(let range, let reason)):
      guard range.lowerBound == first, !range.isEmpty else { return nil }
      return begin(.plan(range, closedBy: reason, replacing: nil, rejectionReason: nil))
    case (.accumulate, .sourceClosed): return end(.sourceClosed)
    case (.plan(let range, _, let old, let rejectionReason), .planned(let intent)):
      guard intent.first == range.lowerBound, intent.end == range.upperBound else { return nil }
      return begin(.begin(intent, replacing: old, rejectionReason: rejectionReason))
    case (.plan(let range, let reason, let old, nil), .unrenderable(let error)):
      return unrenderable(range, closedBy: reason, replacing: old, error)
    case (.reopen, .unrenderable(let error)):
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
    case (.send(let intent, _), .launched(let now, let records, let bytes)):
      launched(intent, records: records, bytes: bytes, at: now)
      return next()
    case (.writeDeadLetter(let intent, _), .wroteDeadLetter(let receipt)):
      update(intent) { $0.step = .delivered(receipt: receipt) }
      return next()
    case (.commit(let intent, _), .committed(let cursor)): return committed(intent, cursor)
    case (_, .failed(let code, let message, let now, let roll)):
      return failed(work, code, message: message, at: now, roll: roll)
    default: return nil
    }
  }

  private mutating func begun(_ intent: Intent, rejectionReason: String?, _ cursor: CursorState) -> Phase? {
    guard cursor.inFlight.contains(where: { $0.intent == intent }) else {
      // Retention was faster.
      guard cursor.lost == nil else { return halt(DeliveryTrouble(.unreadable, "retention took \(intent.id)")) }
      return nil
    }
    adopt(cursor)
    if rejectionReason == nil { update(intent) { $0.step = .ready } }
    return next()
  }

  private mutating func committed(_ intent: Intent, _ cursor: CursorState) -> Phase {
    let isDone = !cursor.inFlight.contains { $0.intent.id == intent.id && !$0.isDelivered }
    let isPassed = cursor.committed >= intent.end || cursor.inFlight.contains { $0.intent.id == intent.id }
    guard isDone, isPassed else {
      let text = "delivery \(intent.id) was committed, but the cursor stands at \(cursor.committed)"
      return .ended(.failed(DeliveryTrouble(.defect, text)))
    }
    adopt(cursor)
    return next()
  }

  /// Takes over what the cursor says: a lane for each open intent.
  private mutating func adopt(_ cursor: CursorState) {
    self.cursor = cursor
    let before = lanes
    lanes = cursor.inFlight.filter { !$0.isDelivered }.map { open in
      if let reason = open.rejectionReason {
        var lane = before.first { $0.intent == open.intent } ?? Lane(intent: open.intent, step: .unrendered)
        // Its dead letter is durable, and only the commit is missing.
        if case .delivered = lane.step { return lane }
        lane.step = .rejectionReason(reason: reason)
        return lane
      }
      return before.first { $0.intent == open.intent } ?? Lane(intent: open.intent, step: .unrendered)
    }
    for lane in before where lane.isInAir && !lanes.contains(where: { $0.intent.id == lane.intent.id }) {
      abandoned.insert(lane.intent.id)
    }
  }

  mutating func update(_ intent: Intent, _ change: (inout Lane) -> Void) {
    guard let index = lanes.firstIndex(where: { $0.intent == intent }) else { return }
    change(&lanes[index])
  }

  private static func contentChanged(_ intent: Intent) -> DeliveryTrouble {
    DeliveryTrouble(
      .contentChanged,
      "delivery \(intent.id) was rendered again and differs from what its intent says; it is not sent. The sink must"
        + " render the plan of an open batch as it did when the batch was opened: run the version that opened it")
  }
}
