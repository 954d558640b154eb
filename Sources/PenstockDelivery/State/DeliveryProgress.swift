public import PenstockLog

/// How far a delivery is. Counts are of this process and begin at 0.
public struct DeliveryProgress: Sendable, Hashable {
  public enum Activity: String, Sendable, Hashable, CaseIterable {
    /// Not run yet.
    case idle
    /// Waits for records, or for the batch to fill.
    case gathering
    /// Plans or renders a batch, or writes its intent.
    case preparing
    /// An attempt is under way.
    case sending
    /// Writes that the batch is delivered.
    case committing
    /// Waits because of a ``DeliveryRate``, or to drain slowly after an outage.
    case pacing
    /// Waits before it tries again.
    case backingOff
    /// Waits for a person; after a refusal it tries again by itself, too.
    case halted
    /// A person has paused the destination; see ``DeliveryProgress/pause``. Nothing is in flight or under way but what was
    /// before.
    case paused
    case ended
  }

  public let cursor: String
  /// The sink's own words for itself.
  public let destination: String
  public internal(set) var activity = Activity.idle
  /// Everything below is delivered.
  public internal(set) var committed: Offset
  /// The source's durable end, as last seen.
  public internal(set) var end: Offset
  /// The records of the oldest batch in flight.
  public internal(set) var inFlight: Range<Offset>?
  public internal(set) var deliveryID: DeliveryID?
  /// Open batches; more than one only with ``DeliveryOptions/maxInFlight``, or as an earlier process left them.
  public internal(set) var batchesInFlight = 0
  /// Whether the destination is up.
  public internal(set) var circuit = CircuitState.closed
  /// Attempts at the oldest batch in flight.
  public internal(set) var attemptsAtBatch = 0
  public internal(set) var attempts = 0
  /// Attempts that were not the first at their batch.
  public internal(set) var retries = 0
  public internal(set) var batches = 0
  public internal(set) var records = 0
  /// Events that were in the batches delivered; the other ``records`` were filtered.
  public internal(set) var events = 0
  /// Records without a readable event time; counted in a replay by event times.
  public internal(set) var untimed = 0
  /// Record bytes, as in the log.
  public internal(set) var bytes = 0
  /// Records that became dead letters; not counted in ``records``.
  public internal(set) var deadLetters = 0
  /// The pause the delivery heeds, while it does: from the next thing it would have begun.
  public internal(set) var pause: CursorPause?
  /// What is in the way, while it is.
  public internal(set) var trouble: DeliveryTrouble?
  /// What was in the way last.
  public internal(set) var lastTrouble: DeliveryTrouble?
  /// When the next try is due, by the time of day; nil while none is.
  public internal(set) var nextTry: Timestamp?

  init(cursor: String, destination: String) {
    self.cursor = cursor
    self.destination = destination
    committed = .zero
    end = .zero
  }

  /// Records delivered batches did not carry, because a filter left them out.
  public var filtered: Int { records - events }

  /// Records that are durable and not delivered.
  public var lagRecords: Int { end > committed ? end - committed : 0 }
}

/// What a delivery did from its start to its orderly end.
public struct DeliveryReport: Sendable, Hashable {
  public enum Ending: String, Sendable, Hashable, CaseIterable {
    /// The cursor has reached the end that was asked for.
    case caughtUp
    /// Graceful shutdown or cancellation.
    case stopped
    /// The log was closed.
    case sourceClosed
    /// A person has paused the destination. Only where an end was asked for: a service waits.
    case paused
  }

  public let ending: Ending
  /// Where the cursor stood when the delivery began.
  public let first: Offset
  /// Where it stands now: `first ..< end` was delivered, but for ``deadLetters``.
  public let end: Offset
  public let batches: Int
  public let records: Int
  /// Events that were in the batches delivered; the other ``records`` were filtered.
  public let events: Int
  /// Record bytes, as in the log.
  public let bytes: Int
  public let attempts: Int
  /// Attempts that were not the first at their batch.
  public let retries: Int
  /// Records that became dead letters.
  public let deadLetters: Int
}

/// Something that happened to one batch. Handed to an observer, which must return soon: the delivery waits for it.
public enum DeliveryObserverEvent: Sendable {
  /// A batch is closed and its intent durable, or was found open.
  case opened(Intent, closedBy: CloseReason, eventCount: Int)
  /// An attempt was answered, after `duration`.
  case answered(Intent, attempt: Int, DeliveryOutcome, duration: Duration)
  /// The destination rejected the batch; a part of it, opened next, takes its place.
  case split(Intent, reason: String)
  /// The batch's one record is durably a dead letter.
  case deadLettered(Intent, reason: String)
  /// The cursor has passed the batch.
  case committed(Intent, receipt: String)
  /// The delivery waits for a person.
  case halted(DeliveryTrouble)
  /// A person has paused the destination: nothing is begun from now on.
  case paused(CursorPause)
  /// A person lets it go on.
  case resumed
}
