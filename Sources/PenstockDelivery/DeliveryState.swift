package import PenstockLog

/// Where one delivery stands, and the only moves it may make. A pure value: an event comes in, ``phase`` says what is to
/// be done next. The shell (``DeliveryRunner``) does it and reports what came of it as the next event.
///
/// Phases, the events each one takes, and where they lead
/// ```
/// gather   no intent is open; a batch collects     gathered → plan                     sourceClosed → ended
/// plan     a new batch is planned and rendered     planned → begin                     unrenderable → halted
/// begin    its intent is on the way to the disk    begun → send
/// reopen   an open intent is rendered again        rendered, digest equal → send       digest differs → halted
/// send     one attempt is under way                answered delivered → commit         retry → backing off
///                                                  refused, disabled, rejected, conflict → halted
/// commit   the receipt is on the way to the disk   committed → reopen, if another intent is open; else gather
/// backing off   the work waits for a moment        wake → the work
/// halted        the work waits for a person        resume → the work;  after a refusal also: wake → the work
/// ended         nothing more happens
/// ```
/// A cursor that retention has passed (`moved`) leads from gather and reopen to reopen, if an intent is open, or gather.
/// A log that cannot be read or written (`failed`) leads from any work to backing off, halted or ended; see
/// `DeliveryState+Failures`. `stop` ends a delivery that waits; one that works does what it is at first, but an attempt
/// that failed is not followed by another. A delivery that runs until it has caught up ends where a service halts.
///
/// Invariants (checked over all sequences of events by the exhaustive test)
/// 1. An attempt is made only for an intent that is durable, and only for the oldest one that is open.
/// 2. An attempt is made only after a rendering, in this process, whose digest is the intent's.
/// 3. A commit follows only a `delivered` answer to an attempt for the same intent.
/// 4. Nothing is skipped: a batch begins where the cursor stands, and the only way past it is its commit,
///    or a person's word that it is lost.
/// 5. A stopped delivery begins no attempt and no batch.
package struct DeliveryState: Hashable, Sendable {
  package enum Work: Hashable, Sendable {
    case gather(from: Offset)
    case plan(Range<Offset>, closedBy: CloseReason)
    case begin(Intent)
    case reopen(Intent)
    /// `attempt` is 1 for the first in this process.
    case send(Intent, attempt: Int)
    case commit(Intent, receipt: String)
  }

  package enum Phase: Hashable, Sendable {
    case working(Work)
    case backingOff(Work, until: Moment, DeliveryTrouble)
    /// `until` is nil when only a person can end it.
    case halted(Work, until: Moment?, DeliveryTrouble)
    case ended(Ending)
  }

  package enum Ending: Hashable, Sendable {
    case caughtUp, stopped, sourceClosed
    case failed(DeliveryTrouble)
  }

  /// How long a delivery goes on.
  package enum Mode: Hashable, Sendable {
    /// Until it is stopped; trouble is waited out.
    case service
    /// Until the cursor has reached this offset; trouble that needs a person ends it.
    case until(Offset)
  }

  package enum Event: Hashable, Sendable {
    case gathered(Range<Offset>, CloseReason)
    case sourceClosed
    case planned(Intent)
    case rendered(digest: [UInt8])
    case unrenderable(SinkError)
    case begun
    /// `roll`: 64 random bits for the backoff.
    case answered(DeliveryOutcome, at: Moment, roll: UInt64)
    case committed(CursorState)
    /// The cursor stands elsewhere than this delivery left it: retention passed it, and that was acknowledged.
    case moved(CursorState)
    case failed(LogError.Code, message: String, at: Moment, roll: UInt64)
    case wake(at: Moment)
    /// A person says: go on now. Has no effect on a delivery that does not wait.
    case resume
    case stop
  }

  /// An event that the phase does not take. The state is as before.
  package struct IllegalEvent: Error, Hashable, Sendable {
    package let event: Event
    package let phase: Phase
  }

  package let mode: Mode
  package private(set) var committed: Offset
  /// Open intents that are not delivered, oldest first. More than one only when a holder before us had several in flight.
  package private(set) var open: [Intent]
  package internal(set) var phase: Phase
  package internal(set) var isStopping = false
  package internal(set) var backoff: Backoff

  /// Starts where the cursor stands: with its oldest open intent, if there is one.
  package init(_ cursor: CursorState, mode: Mode, retry: RetryPolicy) {
    self.mode = mode
    committed = cursor.committed
    open = cursor.undelivered
    backoff = Backoff(policy: retry)
    phase = .working(.gather(from: cursor.committed))
    phase = nextBatch()
  }

  package mutating func handle(_ event: Event) throws(IllegalEvent) {
    switch event {
    case .stop: stop()
    case .resume: resume()
    case .wake(let now): try wake(at: now)
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
    case (.gather(let first), .gathered(let range, let reason)):
      guard range.lowerBound == first, !range.isEmpty else { return nil }
      return begin(.plan(range, closedBy: reason))
    case (.gather, .sourceClosed): return .ended(.sourceClosed)
    case (.plan(let range, _), .planned(let intent)):
      guard intent.first == range.lowerBound, intent.end == range.upperBound else { return nil }
      return begin(.begin(intent))
    case (.plan, .unrenderable(let error)), (.reopen, .unrenderable(let error)):
      return halt(work, DeliveryTrouble(.unrenderable, error.description))
    case (.begin(let intent), .begun):
      open.append(intent)
      return begin(.send(intent, attempt: 1))
    case (.reopen(let intent), .rendered(let digest)):
      guard digest == intent.contentDigest else { return halt(work, Self.contentChanged(intent)) }
      return begin(.send(intent, attempt: 1))
    case (.gather, .moved(let cursor)), (.reopen, .moved(let cursor)):
      guard cursor.committed >= committed, cursor.lost == nil else { return nil }
      committed = cursor.committed
      open = cursor.undelivered
      return nextBatch()
    case (.send(let intent, let attempt), .answered(let outcome, let now, let roll)):
      return answered(outcome, intent, attempt: attempt, at: now, roll: roll)
    case (.commit(let intent, _), .committed(let cursor)): return adopt(cursor, after: intent)
    case (_, .failed(let code, let message, let now, let roll)):
      return failed(work, code, message: message, at: now, roll: roll)
    default: return nil
    }
  }

  private mutating func answered(
    _ outcome: DeliveryOutcome, _ intent: Intent, attempt: Int, at now: Moment, roll: UInt64
  ) -> Phase {
    let again = Work.send(intent, attempt: attempt + 1)
    switch outcome {
    case .delivered(let receipt):
      backoff.succeeded()
      return .working(.commit(intent, receipt: receipt))
    case .retry(let reason, let after):
      return backOff(again, DeliveryTrouble(.unavailable, reason), at: now, retryAfter: after, roll: roll)
    case .refused(let reason):
      return halt(again, until: now + backoff.policy.refusedWait, DeliveryTrouble(.refused, reason))
    case .disabled(let reason): return halt(again, DeliveryTrouble(.disabled, reason))
    case .rejected(let reason): return halt(again, DeliveryTrouble(.rejected, reason))
    case .conflict(let reason): return halt(again, DeliveryTrouble(.conflict, reason))
    }
  }

  /// Takes over what the cursor says after a commit.
  private mutating func adopt(_ cursor: CursorState, after intent: Intent) -> Phase {
    guard cursor.committed >= intent.end, !cursor.undelivered.contains(intent) else {
      let text = "delivery \(intent.id) was committed, but the cursor stands at \(cursor.committed)"
      return .ended(.failed(DeliveryTrouble(.defect, text)))
    }
    committed = cursor.committed
    open = cursor.undelivered
    return nextBatch()
  }

  /// What comes when no work is under way.
  private func nextBatch() -> Phase {
    if let oldest = open.first { return begin(.reopen(oldest)) }
    if case .until(let end) = mode, committed >= end { return .ended(.caughtUp) }
    return begin(.gather(from: committed))
  }

  /// Begins work that a stopped delivery no longer begins.
  private func begin(_ work: Work) -> Phase { isStopping ? .ended(.stopped) : .working(work) }

  private static func contentChanged(_ intent: Intent) -> DeliveryTrouble {
    DeliveryTrouble(
      .contentChanged,
      "delivery \(intent.id) was rendered again and differs from what its intent says; it is not sent. The sink must"
        + " render the plan of an open batch as it did when the batch was opened: run the version that opened it")
  }
}

extension CursorState {
  /// Open intents whose delivery is not confirmed.
  fileprivate var undelivered: [Intent] { inFlight.filter { !$0.isDelivered }.map(\.intent) }
}
