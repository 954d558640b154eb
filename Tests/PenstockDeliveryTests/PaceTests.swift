import PenstockDelivery
import PenstockTestKit
import Testing

@Suite("Pace")
struct PaceTests {
  private func at(_ nanoseconds: Int64) -> Moment { Moment(sinceStart: .nanoseconds(nanoseconds)) }

  @Test("without limits everything is ready")
  func unlimited() {
    let pace = Pace(.unlimited, now: at(0))
    #expect(PaceLimits.unlimited.isUnlimited)
    #expect(pace.ready(records: .max, bytes: .max, now: at(5)) == at(5))
    #expect(PaceLimits.unlimited.seconds(records: 9, bytes: 9) == nil)
  }

  @Test("a full bucket goes at once, then the rate holds, for whichever limit is tighter")
  func limits() {
    var pace = Pace(PaceLimits(recordsPerSecond: 10, bytesPerSecond: 1000), now: at(0))
    pace.take(records: 10, bytes: 100, now: at(0))
    #expect(pace.ready(records: 1, bytes: 1, now: at(0)) == at(100_000_000))
    #expect(pace.ready(records: 0, bytes: 900, now: at(0)) == at(0))
    #expect(pace.ready(records: 0, bytes: 901, now: at(0)) == at(1_000_000))
    #expect(PaceLimits(recordsPerSecond: 10, bytesPerSecond: 1000).seconds(records: 20, bytes: 5000) == 5)
  }

  @Test("a load larger than the bucket goes when the bucket is full, and is paid off after")
  func large() {
    var pace = Pace(PaceLimits(bytesPerSecond: 100, burst: .seconds(1)), now: at(0))
    #expect(pace.ready(records: 1, bytes: 1000, now: at(0)) == at(0))
    pace.take(records: 1, bytes: 1000, now: at(0))
    #expect(pace.ready(records: 1, bytes: 1000, now: at(0)) == at(10_000_000_000))
    #expect(pace.ready(records: 1, bytes: 50, now: at(0)) == at(9_500_000_000))
  }

  @Test("time in which nothing went is saved up to the burst and no further; a clock that stands is no harm")
  func burst() {
    var pace = Pace(PaceLimits(recordsPerSecond: 10, burst: .seconds(2)), now: at(0))
    pace.take(records: 20, bytes: 0, now: at(3_600_000_000_000))
    #expect(pace.ready(records: 1, bytes: 0, now: at(3_600_000_000_000)) == at(3_600_100_000_000))
    #expect(pace.ready(records: 1, bytes: 0, now: at(0)) == at(100_000_000))
  }

  @Test(
    "goes exactly as fast as it may over a long time: nothing is rounded away",
    arguments: [1, 3, 7, 999, 1_000_003, 1 << 40])
  func exact(rate: Int) {
    var generator = SplitMix64(seed: UInt64(rate))
    var pace = Pace(PaceLimits(bytesPerSecond: rate, burst: .zero), now: at(0))
    var (now, taken): (Int64, Int128) = (0, 0)
    let most = max(2, min(rate * 3, 1 << 40))
    for _ in 0..<20_000 {
      let load = 1 + generator.below(most)
      // Each load goes when all before it have been paid off: at taken/rate, rounded up to a nanosecond.
      let due = Int64((taken * 1_000_000_000 + Int128(rate) - 1) / Int128(rate))
      let ready = pace.ready(records: 1, bytes: load, now: at(now))
      guard ready == at(due) else {
        Issue.record("after \(taken) bytes at \(rate) a second the next may go at \(due) ns, not at \(ready)")
        return
      }
      now = due
      pace.take(records: 1, bytes: load, now: at(now))
      taken += Int128(load)
      if taken > Int128(rate) * 9_000_000_000 { break }
    }
    #expect(taken >= 20_000)
  }

  @Test(
    "never gives more than rate · (time + burst), whatever is asked and whenever", arguments: 0..<50 as Range<UInt64>)
  func bounded(seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    let rate = 1 + generator.below(5000)
    var pace = Pace(PaceLimits(recordsPerSecond: rate, burst: .milliseconds(500)), now: at(0))
    var now: Int64 = 0
    var history: [(at: Int64, count: Int)] = []
    for _ in 0..<200 {
      let count = 1 + generator.below(max(1, rate / 2))
      let ready = pace.ready(records: count, bytes: 0, now: at(now))
      now = Int64(ready.sinceStart / .nanoseconds(1)) + Int64(generator.below(1_000_000_000))
      #expect(pace.ready(records: count, bytes: 0, now: at(now)) == at(now))
      pace.take(records: count, bytes: 0, now: at(now))
      history.append((now, count))
    }
    for start in history.indices {
      var sum = 0
      for entry in history[start...] {
        sum += entry.count
        let nanoseconds = Int128(entry.at - history[start].at) + 500_000_000
        // One load may pass a bucket smaller than it, but loads here are no larger.
        #expect(Int128(sum) * 1_000_000_000 <= Int128(rate) * nanoseconds + 1_000_000_000, "seed \(seed)")
      }
    }
  }
}
