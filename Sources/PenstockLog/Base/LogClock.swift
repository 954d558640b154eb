internal import Synchronization

/// Decides the append time of a record, and the time by which retention judges a record's age. A pure value.
///
/// The machine's clock may be wrong: once, for a moment, or for years. So each reading is compared with the monotonic
/// clock, which advances at its own pace and knows no date.
///
/// Rules
/// 1. A reading is *believed* when it lies within ``tolerance`` of the time that the monotonic clock predicts from the
///    reading before. Any other reading is *doubted*, and time advances by the monotonic clock. A doubted reading is
///    believed after all when a later one, at least ``confirmation`` after it, agrees with it.
/// 2. Append times never fall. While the believed time is earlier than the newest append time, append times rise at
///    half speed until the believed time reaches them. They never stop.
/// 3. Retention judges age by the believed time. At first, that time passes the log's newest append time by at most
///    ``unprovenAge``. The limit ends when a reading at least ``confirmation`` after the opening agrees with the first.
///
/// So one wrong reading changes no time by more than ``tolerance``. A clock that is wrong for longer than
/// ``confirmation`` is believed.
package struct LogClock: Hashable, Sendable {
  /// One reading of both clocks, in nanoseconds.
  package struct Reading: Hashable, Sendable {
    var wall: Int64
    var monotonic: Int64
    package init(wall: Int64, monotonic: Int64) {
      self.wall = wall
      self.monotonic = monotonic
    }

    /// The wall clock's predicted reading at a later moment.
    func wall(at monotonic: Int64) -> Int64 { wall.clampedAdding(monotonic.clampedSubtracting(self.monotonic)) }

    func agrees(with other: Reading) -> Bool {
      wall.clampedSubtracting(other.wall(at: monotonic)).magnitude <= LogClock.tolerance.magnitude
    }
  }

  /// 60 s: more than the steps by which clocks are usually set.
  static let tolerance: Int64 = 60_000_000_000
  /// 60 s.
  static let confirmation: Int64 = 60_000_000_000
  /// One day.
  static let unprovenAge: Int64 = 86_400_000_000_000

  private var believed: Reading
  private var doubted: Reading?
  private let openedAt: Int64
  private var isProven: Bool
  /// The newest append time when the log was opened.
  private let newestAtOpening: Int64
  private var newest: (time: Int64, monotonic: Int64)

  /// - Parameters:
  ///   - newest: The log's newest append time; nil in a log without records.
  ///   - readings: An odd number of readings, one after the other, at least one. The middle one is believed, so that a
  ///     single wrong one is not.
  package init(newest: Timestamp?, readings: [Reading]) {
    let first = readings.sorted { $0.wall < $1.wall }[readings.count / 2]
    believed = first
    openedAt = first.monotonic
    // Without records, no record can be too old.
    isProven = newest == nil
    newestAtOpening = newest?.nanoseconds ?? first.wall
    self.newest = (newest?.nanoseconds ?? .min, first.monotonic)
  }

  package static func == (a: LogClock, b: LogClock) -> Bool {
    a.believed == b.believed && a.doubted == b.doubted && a.isProven == b.isProven && a.newest == b.newest
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(believed)
    hasher.combine(newest.time)
  }

  /// Adds a reading; returns the believed time.
  private mutating func now(_ reading: Reading) -> Int64 {
    if reading.agrees(with: believed) {
      if reading.monotonic.clampedSubtracting(openedAt) >= Self.confirmation { isProven = true }
      believed = reading
      doubted = nil
    } else if let doubted, reading.agrees(with: doubted) {
      if reading.monotonic.clampedSubtracting(doubted.monotonic) >= Self.confirmation {
        believed = reading
        self.doubted = nil
        isProven = true
      }
    } else {
      doubted = reading
    }
    return believed.wall(at: reading.monotonic)
  }

  /// The time of a record that is appended now. Never falls.
  mutating func appendTime(_ reading: Reading) -> Timestamp {
    let now = now(reading)
    let elapsed = max(0, reading.monotonic.clampedSubtracting(newest.monotonic))
    newest = (max(now, newest.time.clampedAdding(elapsed / 2)), reading.monotonic)
    return Timestamp(nanoseconds: newest.time)
  }

  /// The time by which records are judged too old.
  package mutating func ageTime(_ reading: Reading) -> Timestamp {
    let now = now(reading)
    return Timestamp(nanoseconds: isProven ? now : min(now, newestAtOpening.clampedAdding(Self.unprovenAge)))
  }
}

extension Int64 {
  fileprivate func clampedAdding(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  fileprivate func clampedSubtracting(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : difference
  }
}

/// Reads the clocks for ``LogClock``. Safe from any thread.
final class AppendClock: Sendable {
  private let wall: any WallClock
  /// Nil where the caller's own clock is always believed.
  private let pace: (any MonotonicClock)?
  private let clock: Mutex<LogClock>

  /// - Parameter newest: The log's newest append time; nil in a log without records.
  init(_ environment: LogEnvironment, newest: Timestamp?) {
    wall = environment.clock
    pace = environment.monotonicClock
    let readings = (0..<3).map { _ in Self.read(environment.clock, environment.monotonicClock) }
    clock = Mutex(LogClock(newest: newest, readings: readings))
  }

  private static func read(_ wall: any WallClock, _ pace: (any MonotonicClock)?) -> LogClock.Reading {
    // The monotonic clock first: a pause between the two then makes the wall clock look later, not earlier.
    let monotonic = pace?.now() ?? 0
    return LogClock.Reading(wall: wall.now().nanoseconds, monotonic: monotonic)
  }

  /// The time of a record that is appended now, at or after `floor`.
  func appendTime(notBefore floor: Timestamp) -> Timestamp {
    guard pace != nil else { return max(wall.now(), floor) }
    return max(clock.withLock { $0.appendTime(Self.read(wall, pace)) }, floor)
  }

  /// The time by which records are judged too old.
  func ageTime() -> Timestamp {
    guard pace != nil else { return Timestamp(nanoseconds: .max) }
    return clock.withLock { $0.ageTime(Self.read(wall, pace)) }
  }
}
