import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("Lag") struct LagTests {
  /// Looks at second `second` of a day, with records a second old each.
  private func facts(
    _ second: Int, committed: UInt64, end: UInt64, kept: Int? = nil, cap: Int? = nil, lost: Range<Offset>? = nil,
    activity: DeliveryProgress.Activity? = .sending
  ) -> LagSnapshot {
    var facts = LagSnapshot(
      at: MonotonicInstant(sinceStart: .seconds(second)),
      timeOfDay: Timestamp(nanoseconds: Int64(second) * 1_000_000_000), committed: Offset(committed), end: Offset(end))
    (facts.storedBytes, facts.keptBytes, facts.hardCapBytes) = (Int(end - committed) * 10, kept, cap)
    facts.oldestAppendTime = committed < end ? Timestamp(nanoseconds: 0) : nil
    (facts.lost, facts.activity) = (lost, activity)
    return facts
  }

  /// Looks once a second; returns the last lag.
  private func watch(_ meter: inout LagMeter, _ seconds: Range<Int>, _ look: (Int) -> LagSnapshot) throws -> Lag {
    try #require(seconds.map { meter.observe(look($0)) }.last)
  }

  @Test func `a cursor at the end has none, and is well however long nothing happens`() throws {
    var meter = LagMeter(cursor: "billing")
    let lag = try watch(&meter, 0..<5000) { facts($0, committed: 7, end: 7) }
    #expect(lag.health == .ok && lag.records == 0 && lag.age == .zero && lag.timeToDrain == .zero)
    #expect(lag.stillFor == nil && lag.timeToLoss == nil && lag.words == "cursor billing is caught up")
  }

  @Test func `records, bytes, age and the time to drain come from what is delivered and what is appended`() throws {
    var meter = LagMeter(cursor: "billing")
    #expect(meter.observe(facts(0, committed: 0, end: 1000)).timeToDrain == nil)
    // 30 delivered and 10 appended a second: 20 a second less.
    let lag = try watch(&meter, 1..<21) { facts($0, committed: UInt64($0 * 30), end: UInt64(1000 + $0 * 10)) }
    #expect(lag.records == 600 && lag.storedBytes == 6000 && lag.age == .seconds(20))
    #expect(abs((lag.recordsPerSecond ?? 0) - 30) < 1e-9 && abs((lag.appendedPerSecond ?? 0) - 10) < 1e-9)
    let drain = try #require(lag.timeToDrain)
    #expect(abs(drain / .seconds(1) - 30) < 1e-6 && lag.health == .ok)
  }

  @Test func `a cursor that is no faster than the appends has no time to drain`() throws {
    for rate in [0, 5, 10] {
      var meter = LagMeter(cursor: "billing")
      let lag = try watch(&meter, 0..<100) { facts($0, committed: UInt64($0 * rate), end: UInt64(1000 + $0 * 10)) }
      #expect(lag.timeToDrain == nil && lag.health == .behind, "\(rate)")
      #expect(lag.words.contains("the oldest 1 m 39 s old, and not catching up"))
    }
  }

  @Test func `the hard cap of retention is forecast in time, at the rate at which the lag grows`() throws {
    var meter = LagMeter(cursor: "billing", thresholds: LagThresholds(behindAfter: .seconds(1)))
    // A record of 10 stored bytes a second.
    let cap = 1_000_000 + 11_520 * 10
    var lag = try watch(&meter, 0..<11) { facts($0, committed: 5, end: UInt64(100 + $0), kept: 1_000_000, cap: cap) }
    let left = try #require(lag.timeToLoss)
    #expect(abs(left / .seconds(1) - 11_520) < 1e-3 && lag.health == .losing)
    #expect(lag.words.hasPrefix("at this rate cursor billing loses data in 3 h 1"))
    // Far away, it is not yet a matter.
    lag = meter.observe(facts(11, committed: 5, end: 111, kept: 1_000_000, cap: cap * 1000))
    #expect(lag.health != .losing && lag.timeToLoss != nil)
    lag = meter.observe(facts(12, committed: 5, end: 112, kept: cap + 1, cap: cap))
    #expect(lag.timeToLoss == .zero && lag.words.contains("with the next run of retention"))
    lag = meter.observe(facts(13, committed: 5, end: 112, lost: Offset(2)..<Offset(5)))
    #expect(lag.timeToLoss == .zero && lag.health == .losing && lag.words.contains("has lost records 2 ..< 5"))
  }

  @Test func `a cursor that keeps up, a log without appends, and no cap forecast no loss`() throws {
    for (appended, committed, cap) in [(0, 0, 2_000_000), (1, 1, 2_000_000), (1, 2, 2_000_000), (1, 0, nil)]
      as [(Int, Int, Int?)]
    {
      var meter = LagMeter(cursor: "billing")
      let lag = try watch(&meter, 0..<200) {
        var look = facts(
          $0, committed: UInt64($0 * committed), end: UInt64(1000 + $0 * appended), kept: 1_000_000, cap: cap)
        look.oldestAppendTime = look.timeOfDay
        return look
      }
      #expect(lag.timeToLoss == nil && lag.health == .ok, "\(appended) \(committed)")
    }
  }

  @Test func `a destination that commits every five minutes is well at every moment in between`() {
    var meter = LagMeter(cursor: "archive", thresholds: LagThresholds(behindAfter: .seconds(600)))
    for second in stride(from: 0, to: 7200, by: 5) {
      // 100 records a second, and a cap that would be reached in three hours if nothing were delivered any more.
      let committed = second / 300 * 300
      var look = facts(
        second, committed: UInt64(committed * 100), end: UInt64(second * 100 + 1), kept: 1_000_000,
        cap: 1_000_000 + 10_800 * 1000)
      look.oldestAppendTime = Timestamp(nanoseconds: Int64(committed) * 1_000_000_000)
      let lag = meter.observe(look)
      #expect(lag.health == .ok, "second \(second): \(lag.words)")
      if second > 600 { #expect(abs((lag.recordsPerSecond ?? 0) - 100) < 2, "second \(second)") }
    }
  }

  @Test func `a cursor that does not move while records wait is stuck after a while, and not a moment before`() throws {
    var meter = LagMeter(cursor: "billing", thresholds: LagThresholds(behindAfter: .seconds(10_000)))
    // It moves until second 9; the records appended later do not count as moving.
    _ = try watch(&meter, 0..<10) { facts($0, committed: UInt64($0), end: 100) }
    let before = try watch(&meter, 10..<910) { facts($0, committed: 9, end: UInt64(100 + $0)) }
    #expect(before.health == .ok && before.stillFor == .seconds(900))
    let after = meter.observe(facts(910, committed: 9, end: 5000))
    #expect(after.health == .stuck && after.words.hasPrefix("cursor billing has not moved for 15 m 1 s"))
    #expect(meter.observe(facts(911, committed: 10, end: 5000)).health == .ok)
  }

  @Test func `an idle destination is not stuck when the first record comes after a long time`() throws {
    var meter = LagMeter(cursor: "billing")
    _ = try watch(&meter, 0..<5000) { facts($0, committed: 9, end: 9) }
    var fresh = facts(5000, committed: 9, end: 10)
    fresh.oldestAppendTime = fresh.timeOfDay
    #expect(meter.observe(fresh).health == .ok)
  }

  @Test func `a halted delivery is shown with its trouble`() {
    var meter = LagMeter(cursor: "billing")
    var look = facts(1, committed: 0, end: 1, activity: .halted)
    look.trouble = DeliveryTrouble(.refused, "the receiver answered 401")
    let lag = meter.observe(look)
    #expect(lag.health == .halted && lag.words.contains("waits for an operator: 1 records"))
    #expect(lag.words.hasSuffix("trouble: refused: the receiver answered 401"))
  }

  @Test func `clocks that are set back, looks out of order and cursors moved by hand make nothing negative`() {
    var meter = LagMeter(cursor: "billing")
    var generator = SplitMix64(seed: 7)
    for _ in 0..<5000 {
      let (committed, end) = (UInt64(generator.below(100)), UInt64(generator.below(120)))
      var look = facts(
        generator.below(1000), committed: min(committed, end), end: end, kept: generator.below(500), cap: 300)
      look.timeOfDay = Timestamp(nanoseconds: Int64(bitPattern: generator.next()))
      look.oldestAppendTime = Timestamp(nanoseconds: Int64(bitPattern: generator.next()))
      let lag = meter.observe(look)
      #expect(lag.age >= .zero && lag.records >= 0 && (lag.timeToDrain ?? .zero) >= .zero)
      #expect((lag.timeToLoss ?? .zero) >= .zero && (lag.stillFor ?? .zero) >= .zero)
      #expect((lag.recordsPerSecond ?? 0) >= 0 && (lag.appendedPerSecond ?? 0) >= 0)
    }
  }

  @Test
  func `the smoothed rate does not depend on how often one looks, and follows a change within the window`() throws {
    var rates: [Double] = []
    for step in [1, 5, 20] {
      var meter = LagMeter(cursor: "billing")
      // 10 a second for 200 seconds, then 40 a second for 60: one window.
      let lag = try #require(
        stride(from: 0, through: 260, by: step).map { second in
          meter.observe(
            facts(second, committed: UInt64(min(second, 200) * 10 + max(0, second - 200) * 40), end: 100_000))
        }.last)
      rates.append(try #require(lag.recordsPerSecond))
    }
    // 40 − 30/e
    for rate in rates { #expect(abs(rate - 28.963_616_764_9) < 1e-9, "\(rates)") }
  }

  @Test(arguments: 0..<16)
  func `the worst that is true is the health: losing, halted, stuck, behind, ok`(combination: Int) {
    var meter = LagMeter(
      cursor: "billing", thresholds: LagThresholds(behindAfter: .seconds(1), stuckAfter: .seconds(100)))
    let (isLost, isHalted) = (combination & 1 == 1, combination & 2 == 2)
    let (isStuck, isBehind) = (combination & 4 == 4, combination & 8 == 8)
    _ = meter.observe(facts(0, committed: 3, end: 9))
    var look = facts(isStuck ? 200 : 50, committed: 3, end: 9, activity: isHalted ? .halted : .sending)
    look.lost = isLost ? Offset(1)..<Offset(2) : nil
    look.oldestAppendTime = isBehind ? Timestamp(nanoseconds: 0) : look.timeOfDay
    let expected: LagHealth = isLost ? .losing : isHalted ? .halted : isStuck ? .stuck : isBehind ? .behind : .ok
    #expect(meter.observe(look).health == expected)
    #expect(LagHealth.allCases == LagHealth.allCases.sorted())
  }
}
