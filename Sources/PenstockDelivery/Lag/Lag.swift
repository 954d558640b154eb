public import PenstockLog

/// A snapshot of a destination, from which a ``LagMeter`` computes its lag.
public struct LagSnapshot: Sendable, Hashable {
  /// When it was taken, by a clock that never jumps.
  public var at: MonotonicInstant
  /// When it was taken, by the wall clock.
  public var timeOfDay: Timestamp
  /// Where the cursor stands: everything below is delivered.
  public var committed: Offset
  /// The log's durable end.
  public var end: Offset
  /// Stored bytes from the cursor to the end, an estimate from indexes.
  public var storedBytes = 0
  /// When the oldest undelivered record was appended; nil when there is none, or it is lost.
  public var oldestAppendTime: Timestamp?
  /// The bytes that retention's hard cap counts: the files from the cursor's segment to the newest. Nil without a
  /// limit.
  public var keptBytes: Int?
  /// Retention's hard cap; nil without one.
  public var hardCapBytes: Int?
  /// Records that retention has deleted before they were delivered.
  public var lost: Range<Offset>?
  /// The delivery's activity; nil when none runs.
  public var activity: DeliveryProgress.Activity?
  /// The delivery's trouble; nil when it has none, or none runs.
  public var trouble: DeliveryTrouble?
  /// The pause that an operator has put on the destination.
  public var pause: CursorPause?

  /// A destination that no delivery runs for, without a limit; the caller sets what else it knows.
  public init(at: MonotonicInstant, timeOfDay: Timestamp, committed: Offset, end: Offset) {
    self.at = at
    self.timeOfDay = timeOfDay
    self.committed = committed
    self.end = end
  }
}

/// When a lag needs an operator's attention.
public struct LagThresholds: Sendable, Hashable {
  /// The age of the oldest undelivered record above which the health is ``LagHealth/behind``. Must be longer than
  /// ``BatchPolicy/maxWait``. Otherwise a healthy destination exceeds it before each of its batches.
  public var behindAfter: Duration
  /// How long records may wait without a commit before the destination is stuck.
  public var stuckAfter: Duration
  /// A destination is losing when retention would pass its cursor within this time.
  public var losingWithin: Duration
  /// The time constant of the rates: a sample this old counts a third (1/e) of a new one.
  public var rateWindow: Duration

  /// Lagging after a minute, stuck after 15, losing within 12 hours; rates over a minute.
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

/// The health of a destination: the worst that applies, where later cases are worse. A paused destination is only
/// `paused` or `losing`.
public enum LagHealth: String, Sendable, Hashable, CaseIterable, Comparable {
  /// Everything is delivered, or will be soon.
  case ok
  /// An operator has paused the destination, so its lag is intended. Only data loss to retention is worse.
  case paused
  /// The oldest undelivered record is older than ``LagThresholds/behindAfter``.
  case behind
  /// Records wait, and none was committed for ``LagThresholds/stuckAfter``.
  case stuck
  /// The delivery waits for an operator.
  case halted
  /// Retention has deleted undelivered records, or will within ``LagThresholds/losingWithin`` at the present rate.
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

/// The lag of a destination.
public struct Lag: Sendable, Hashable {
  /// The cursor's name, which names the destination.
  public let cursor: String
  /// Durable records that are not delivered.
  public let records: Int
  /// Their stored bytes; an estimate from indexes.
  public let storedBytes: Int
  /// The age of the oldest undelivered record; zero when there is none. By the time of day, and never below zero.
  public let age: Duration
  /// Records delivered per second, smoothed; nil before two snapshots.
  public let recordsPerSecond: Double?
  /// Records appended per second, smoothed; nil before two snapshots.
  public let appendedPerSecond: Double?
  /// Time until everything is delivered, at the present rates. Zero when it is; nil when the lag does not shrink, or
  /// nothing is known.
  public let timeToDrain: Duration?
  /// Time until retention's hard cap passes the cursor, at the present rate. Zero when it has; nil when it will not,
  /// or nothing is known.
  public let timeToLoss: Duration?
  /// How long records have waited without a commit; nil when none wait.
  public let stillFor: Duration?
  /// The worst that applies to the destination.
  public let health: LagHealth
  /// The health in a sentence.
  public let words: String
}
