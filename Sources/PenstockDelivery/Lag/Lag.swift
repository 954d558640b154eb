public import PenstockLog

/// What is known of a destination at one moment.
public struct LagFacts: Sendable, Hashable {
  /// By a clock that never jumps.
  public var at: MonotonicInstant
  public var timeOfDay: Timestamp
  public var committed: Offset
  /// The log's durable end.
  public var end: Offset
  /// Stored bytes from the cursor to the end, an estimate from indexes.
  public var storedBytes: Int
  /// When the oldest undelivered record was appended; nil when there is none, or it is lost.
  public var oldestAppendTime: Timestamp?
  /// What retention's hard cap measures: the files from the cursor's segment to the newest; nil where there is no cap.
  public var keptBytes: Int?
  public var hardCapBytes: Int?
  /// Records that retention has taken already.
  public var lost: Range<Offset>?
  /// What the delivery is at, and what is in its way; nil when none runs.
  public var activity: DeliveryProgress.Activity?
  public var trouble: DeliveryTrouble?
  /// The pause a person has put on the destination.
  public var pause: CursorPause?

  public init(
    at: MonotonicInstant, timeOfDay: Timestamp, committed: Offset, end: Offset, storedBytes: Int = 0,
    oldestAppendTime: Timestamp? = nil, keptBytes: Int? = nil, hardCapBytes: Int? = nil, lost: Range<Offset>? = nil,
    activity: DeliveryProgress.Activity? = nil, trouble: DeliveryTrouble? = nil, pause: CursorPause? = nil
  ) {
    self.at = at
    self.timeOfDay = timeOfDay
    self.committed = committed
    self.end = end
    self.storedBytes = storedBytes
    self.oldestAppendTime = oldestAppendTime
    self.keptBytes = keptBytes
    self.hardCapBytes = hardCapBytes
    self.lost = lost
    self.activity = activity
    self.trouble = trouble
    self.pause = pause
  }
}

/// When a lag becomes a matter for an operator.
public struct LagThresholds: Sendable, Hashable {
  /// The oldest undelivered record is older than this: behind. Longer than a batch may wait to be filled
  /// (``BatchPolicy/maxWait``), or a healthy destination is behind before each of its batches.
  public var behindAfter: Duration
  /// Records wait and none has been committed for this long: stuck.
  public var stuckAfter: Duration
  /// Retention would pass the cursor within this time: losing.
  public var losingWithin: Duration
  /// How far back rates look: what was this long ago counts for a third of what is now.
  public var rateWindow: Duration

  /// Behind after a minute, stuck after 15, losing within 12 hours; rates over a minute.
  public init(
    behindAfter: Duration = .seconds(60), stuckAfter: Duration = .seconds(900),
    losingWithin: Duration = .seconds(12 * 3600), rateWindow: Duration = .seconds(60)
  ) {
    self.behindAfter = behindAfter
    self.stuckAfter = stuckAfter
    self.losingWithin = losingWithin
    self.rateWindow = max(.milliseconds(1), rateWindow)
  }
}

/// How a destination is, the worst that is true of it first in the order of the cases from the end; but of a paused one only whether it
/// is losing.
public enum LagHealth: String, Sendable, Hashable, CaseIterable, Comparable {
  /// Everything is delivered, or will be soon.
  case ok
  /// A person has paused the destination, so that it falls behind is meant. Only what retention would take is worse.
  case paused
  /// The oldest undelivered record is older than it should be.
  case behind
  /// Records wait, and nothing moves.
  case stuck
  /// The delivery waits for a person.
  case halted
  /// Retention has taken records, or will within ``LagThresholds/losingWithin`` as things go.
  case losing

  public static func < (a: LagHealth, b: LagHealth) -> Bool { a.rank < b.rank }
  private var rank: Int {
    switch self {
    case .ok: 0
    case .paused: 1
    case .behind: 2
    case .stuck: 3
    case .halted: 4
    case .losing: 5
    }
  }
}

/// How far a destination is behind.
public struct Lag: Sendable, Hashable {
  public let cursor: String
  /// Durable records that are not delivered.
  public let records: Int
  /// The same in bytes as they are stored; an estimate from indexes.
  public let storedBytes: Int
  /// The age of the oldest undelivered record; zero when there is none. By the time of day, so never below zero.
  public let age: Duration
  /// Records delivered a second, smoothed; nil before two looks.
  public let recordsPerSecond: Double?
  /// Records appended a second, smoothed; nil before two looks.
  public let appendedPerSecond: Double?
  /// Until everything is delivered, as things go; zero when it is, nil when it falls behind, stands still, or nothing is known.
  public let timeToDrain: Duration?
  /// Until retention's hard cap passes the cursor, as things go; zero when it has; nil when it will not, or nothing is known.
  public let timeToLoss: Duration?
  /// Since when no commit was seen although records wait; nil when nothing waits.
  public let stillFor: Duration?
  public let health: LagHealth
  /// The health in a sentence.
  public let words: String
}
