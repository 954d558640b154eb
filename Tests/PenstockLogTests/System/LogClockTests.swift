@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// What one wrong reading of the clock can do: the rule alone, over every short history, and a log with retention by
/// age.
@Suite(.timeLimit(.minutes(1))) struct LogClockTests {
  private static let second: Int64 = 1_000_000_000
  private static let year = 365 * 86_400 * second
  /// The true time at the opening.
  private static let start: Int64 = 1_767_225_600 * second

  private enum Look: Hashable {
    /// So long after the look before, with a wall clock that is wrong by so much.
    case after(Int64, wrongBy: Int64)
  }

  private static let looks: [Look] = [0, 1, 61].flatMap { (pause: Int64) in
    [0, 10 * year, -10 * year, 30 * second].map { Look.after(pause * second, wrongBy: $0) }
  }

  /// A clock, the true time, and what came of the looks so far.
  private struct World {
    var clock: LogClock
    var time = start
    var wrong = 0
    var last: Int64 = .min
    var flaw: String?

    init(wrongAtOpening: Int64) {
      let readings = [0, wrongAtOpening, 0].map { LogClock.Reading(wall: start + $0, monotonic: 5) }
      clock = LogClock(newest: Timestamp(nanoseconds: start - 3600 * second), readings: readings)
      if wrongAtOpening.magnitude > LogClock.tolerance.magnitude { wrong = 1 }
    }

    mutating func make(_ look: Look) {
      guard case .after(let pause, let error) = look else { return }
      time += pause
      if error.magnitude > LogClock.tolerance.magnitude { wrong += 1 }
      let reading = LogClock.Reading(wall: time + error, monotonic: 5 + time - start)
      let append = clock.appendTime(reading).nanoseconds
      let age = clock.ageTime(reading).nanoseconds
      if append < last { flaw = "an append time fell" }
      if last != .min, append - last < pause / 2 { flaw = "append times stood still" }
      // One wrong reading is worth a minute at most, and a small error that was believed is another.
      let bound = 2 * LogClock.tolerance
      if wrong <= 1, (append - time).magnitude > bound.magnitude { flaw = "one wrong reading moved an append time" }
      if wrong <= 1, age - time > bound { flaw = "one wrong reading made records old" }
      last = append
    }
  }

  @Test func `one wrong reading moves no time by more than its bound, and append times never fall or stand still`() {
    let tried = [0, 10 * Self.year, -10 * Self.year].reduce(0) { tried, error in
      tried
        + explore(World(wrongAtOpening: error), Self.looks, upTo: 4) { world, look in
          world.make(look)
          return world.flaw ?? ""
        }
    }
    #expect(tried > 60_000)
  }

  @Test func `a clock that was set is believed after a minute, and append times then catch up or run slower`() {
    for error in [10 * Self.year, -10 * Self.year, 300 * Self.second, -300 * Self.second] {
      var clock = LogClock(
        newest: Timestamp(nanoseconds: Self.start), readings: [.init(wall: Self.start, monotonic: 0)])
      var ages: [Int64] = []
      var appends: [Int64] = []
      for second in stride(from: 1, through: 1201, by: 10) as StrideThrough<Int64> {
        let moment = second * Self.second
        let reading = LogClock.Reading(wall: Self.start + moment + error, monotonic: moment)
        ages.append(clock.ageTime(reading).nanoseconds - Self.start - moment)
        appends.append(clock.appendTime(reading).nanoseconds - Self.start - moment)
      }
      // Seven looks within a minute of the first, and from then on the new time.
      #expect(ages.prefix(6).allSatisfy { $0 == 0 } && ages.dropFirst(6).allSatisfy { $0 == error })
      #expect(error > 0 ? appends.last == error : (appends.last ?? 0) < 0)
      // A clock that was set back by five minutes is caught up with in ten.
      if error == -300 * Self.second { #expect(appends.last == error) }
    }
  }

  @Test func `after an opening the clock passes the newest record by a day at most, until a minute has proved it`() {
    let late = Self.start + Self.year
    var clock = LogClock(newest: Timestamp(nanoseconds: Self.start), readings: [.init(wall: late, monotonic: 0)])
    let day = LogClock.unprovenAge
    #expect(clock.ageTime(.init(wall: late + 1, monotonic: 1)).nanoseconds == Self.start + day)
    let minute = LogClock.confirmation
    #expect(clock.ageTime(.init(wall: late + minute - 1, monotonic: minute - 1)).nanoseconds == Self.start + day)
    #expect(clock.ageTime(.init(wall: late + minute, monotonic: minute)).nanoseconds == late + minute)
    // Append times need no proof.
    #expect(clock.appendTime(.init(wall: late + minute, monotonic: minute)).nanoseconds == late + minute)
  }

  @Test func `no reading at the ends of the range traps`() {
    for wall in [Int64.min, -1, 0, .max] {
      for monotonic in [Int64.min, 0, .max] {
        for other in [Int64.min, 0, .max] {
          var clock = LogClock(
            newest: Timestamp(nanoseconds: other), readings: [.init(wall: other, monotonic: monotonic)])
          for reading in [LogClock.Reading(wall: wall, monotonic: other), .init(wall: other, monotonic: monotonic)] {
            let append = clock.appendTime(reading)
            #expect(append.nanoseconds >= other)
            _ = clock.ageTime(reading)
          }
        }
      }
    }
  }

  /// Clocks that run together, one of which lies once.
  private final class LyingClock: WallClock, MonotonicClock {
    private struct State {
      var time: Int64 = 0
      var looks = 0
    }
    private let state = Mutex(State())
    private let lie: Int
    init(lyingAt lie: Int) { self.lie = lie }
    var looks: Int { state.withLock { $0.looks } }
    func advance(_ nanoseconds: Int64) { state.withLock { $0.time += nanoseconds } }
    func now() -> Timestamp {
      state.withLock { state in
        state.looks += 1
        return Timestamp(nanoseconds: start + state.time + (state.looks == lie ? 10 * year : 0))
      }
    }
    func now() -> Int64 { state.withLock { $0.time } }
    func sleep(nanoseconds: Int64) {}
  }

  @Test func `whenever the clock is ten years ahead once, no fresh segment goes and no append time is far off`()
    async throws
  {
    var looks = 0
    var number = 0
    while number <= looks {
      number += 1
      let clock = LyingClock(lyingAt: number)
      var test = TestLog()
      test.configuration.retention = RetentionPolicy(maxAge: .seconds(7 * 86_400))
      var environment = test.environment()
      environment.clock = clock
      environment.monotonicClock = clock
      for _ in 0..<2 {
        let log = try await test.open(with: environment)
        let segments = test.segments.count
        while test.segments.count < segments + 2 {
          try await log.append(batch([record(0)]))
          clock.advance(Self.second)
        }
        _ = try await log.trim()
        #expect(log.first == .zero, "the look \(number)")
        try await log.close()
      }
      let last = try Reading(test.killed().openWriter().view).appendTimes.values
      let bound = 3600 * Self.second.magnitude
      #expect(last.allSatisfy { ($0.nanoseconds - Self.start).magnitude < bound }, "the look \(number)")
      looks = max(looks, clock.looks)
    }
    #expect(number > 40)
  }
}
