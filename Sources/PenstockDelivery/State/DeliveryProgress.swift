public import PenstockLog

/// The progress of a delivery. Counts are of this process and begin at 0.
public struct DeliveryProgress: Sendable, Hashable {
  /// What a delivery is doing.
  public enum Activity: String, Sendable, Hashable, CaseIterable {
    /// It has not run yet.
    case idle
    /// It waits for records, or for the batch to fill.
    case gathering
    /// It plans or renders a batch, or writes its intent.
    case preparing
    /// An attempt is under way.
    case sending
    /// It writes the commit of a delivered batch.
    case committing
    /// It waits because of a ``DeliveryRate``, or drains slowly after an outage.
    case pacing
    /// It waits before the next attempt.
    case backingOff
    /// It waits for an operator. After a refusal it also retries by itself.
    case halted
    /// An operator has paused the destination; see ``DeliveryProgress/pause``. The delivery begins nothing; earlier
    /// attempts may still be in flight.
    case paused
    /// The run is over.
    case ended
  }

  /// The cursor's name.
  public let cursor: String
  /// The sink's description of the destination.
  public let destination: String
  /// What the delivery is doing.
  public internal(set) var activity = Activity.idle
  /// Everything below this offset is delivered.
  public internal(set) var committed: Offset
  /// The source's durable end, as last read.
  public internal(set) var end: Offset
  /// The records of the oldest batch in flight.
  public internal(set) var inFlight: Range<Offset>?
  /// The id of the oldest batch in flight; nil when none is.
  public internal(set) var deliveryID: DeliveryID?
  /// Open batches. More than one only with ``DeliveryOptions/maxInFlight``, or when an earlier process left them.
  public internal(set) var batchesInFlight = 0
  /// Whether the destination is up.
  public internal(set) var circuit = CircuitState.closed
  /// Attempts at the oldest batch in flight.
  public internal(set) var attemptsAtBatch = 0
  /// Attempts at all batches, answered or not.
  public internal(set) var attempts = 0
  /// Attempts that were not the first at their batch.
  public internal(set) var retries = 0
  /// Batches delivered.
  public internal(set) var batches = 0
  /// Records that were passed: delivered, or left out by the sink's selection.
  public internal(set) var records = 0
  /// Events in the delivered batches; the other ``records`` were filtered.
  public internal(set) var events = 0
  /// Records without a readable event time; counted in a replay by event times.
  public internal(set) var untimed = 0
  /// Bytes of the delivered events, of the selected fields, before rendering.
  public internal(set) var bytes = 0
  /// Records that became dead letters; not counted in ``records``.
  public internal(set) var deadLetters = 0
  /// The pause in effect; nil while there is none.
  public internal(set) var pause: CursorPause?
  /// The current trouble; nil while there is none.
  public internal(set) var trouble: DeliveryTrouble?
  /// The newest trouble, also after it is over.
  public internal(set) var lastTrouble: DeliveryTrouble?
  /// When the next attempt is due, by the time of day; nil while none is.
  public internal(set) var nextTry: Timestamp?

  init(cursor: String, destination: String) {
    self.cursor = cursor
    self.destination = destination
    committed = .zero
    end = .zero
  }

  /// Records that the sink's selection left out.
  public var filtered: Int { records - events }

  /// Durable records that are not delivered.
  public var lagRecords: Int { end > committed ? end - committed : 0 }
}

/// What a delivery did from its start to its orderly end.
public struct DeliveryReport: Sendable, Hashable {
  /// How the run ended.
  public enum Ending: String, Sendable, Hashable, CaseIterable {
    /// The cursor has reached the requested end.
    case caughtUp
    /// Graceful shutdown or cancellation.
    case stopped
    /// The log was closed.
    case sourceClosed
    /// An operator has paused the destination. Only a run with a requested end returns this; a service waits.
    case paused
  }

  /// How the run ended.
  public let ending: Ending
  /// The cursor's position when the delivery began.
  public let first: Offset
  /// The cursor's position now: `first ..< end` was delivered, except ``deadLetters``.
  public let end: Offset
  /// Batches delivered.
  public let batches: Int
  /// Records that were passed: delivered, or left out by the sink's selection.
  public let records: Int
  /// Events in the delivered batches; the other ``records`` were filtered.
  public let events: Int
  /// Bytes of the delivered events, of the selected fields, before rendering.
  public let bytes: Int
  /// Attempts at all batches, answered or not.
  public let attempts: Int
  /// Attempts that were not the first at their batch.
  public let retries: Int
  /// Records that became dead letters.
  public let deadLetters: Int
}

/// An event of one batch. The delivery calls its observer with it and waits, so the observer must return soon.
public enum DeliveryObserverEvent: Sendable {
  /// A batch is closed and its intent is durable, or the delivery found it open in the cursor.
  case opened(Intent, closedBy: CloseReason, eventCount: Int)
  /// The sink answered an attempt, after `duration`.
  case answered(Intent, attempt: Int, DeliveryOutcome, duration: Duration)
  /// The destination rejected the batch. A part of it, opened next, takes its place.
  case split(Intent, reason: String)
  /// The dead letter of the batch's one record is durable.
  case deadLettered(Intent, reason: String)
  /// The cursor has passed the batch.
  case committed(Intent, receipt: String)
  /// The delivery waits for an operator.
  case halted(DeliveryTrouble)
  /// An operator has paused the destination. The delivery begins nothing from now on.
  case paused(CursorPause)
  /// An operator has resumed the destination.
  case resumed
}
