import PenstockLog
import Testing

@testable import PenstockServer

/// Places in a log, as people and queries say them.
struct PlaceTests {
  /// 2026-11-29T19:06:55.123456789Z
  private let now = Timestamp(nanoseconds: 1_795_979_215_123_456_789)

  private func time(_ text: String) -> Int64? {
    guard case .time(let time) = PositionParameter.position(text, now: now) else { return nil }
    return time.nanoseconds
  }

  @Test(
    arguments: [
      ("2026-11-29T00:00:00Z", 1_795_910_400_000_000_000), ("2026-11-29", 1_795_910_400_000_000_000),
      ("2026-11-29T01:00:00+01:00", 1_795_910_400_000_000_000),
      ("2026-11-28t18:30:00-05:30", 1_795_910_400_000_000_000),
      ("2026-11-29T00:00:00.123456789Z", 1_795_910_400_123_456_789), ("2024-02-29", 1_709_164_800_000_000_000),
      ("2000-02-29T23:59:59.9z", 951_868_799_900_000_000), ("1969-12-31T23:59:59.5Z", -500_000_000),
      ("1970-01-01", 0), ("@0", 0), ("@1431857103.000000001", 1_431_857_103_000_000_001),
      ("@1431857103", 1_431_857_103_000_000_000), ("now", 1_795_979_215_123_456_789),
      ("today", 1_795_910_400_000_000_000), ("yesterday", 1_795_824_000_000_000_000),
      ("-24h", 1_795_892_815_123_456_789), ("-90m", 1_795_973_815_123_456_789), ("-30s", 1_795_979_185_123_456_789),
      ("-7d", 1_795_374_415_123_456_789), ("-1w", 1_795_374_415_123_456_789),
      ("2262-04-11T23:47:16.854775807Z", Int64.max), ("-0s", 1_795_979_215_123_456_789),
    ] as [(String, Int64)])
  func `a time that exists is read to the nanosecond`(text: String, nanoseconds: Int64) {
    #expect(time(text) == nanoseconds)
    #expect(PositionParameter.position("event:" + text, now: now) == .eventTime(Timestamp(nanoseconds: nanoseconds)))
  }

  @Test(arguments: [
    "2026-02-30", "2026-02-30T00:00:00Z", "2026-02-29", "2100-02-29", "2026-04-31", "2026-00-10", "2026-13-01",
    "2026-01-00", "2026-01-32", "2026-11-29T25:00:00Z", "2026-11-29T24:00:00Z", "2026-11-29T00:61:00Z",
    "2026-11-29T00:00:60Z", "2026-11-29T00:00:61Z", "2026-11-29T00:00:00", "2026-11-29T00:00Z", "2026-11-29T00:00:00.Z",
    "2026-11-29T00:00:00+24:00", "2026-11-29T00:00:00+01:60", "2026-11-29T00:00:00+1:00", "2026-11-29 00:00:00Z",
    "2026-11-29T00:00:00Zx", "2026-1-1", "26-11-29", "+2026-11-29", "2300-01-01", "1600-01-01", "@", "@-5", "@1.",
    "@.5", "@1e9", "@99999999999", "@1 ", "-", "-24", "-h", "-24H", "-24hh", "- 24h", "--24h", "-1.5h", "-0",
    "-99999999999999999999d", "-9999999999d", "Yesterday", "tomorrow", "", " ", "event:", "event:beginning", "event:7",
    "event:event:now", "+5", "5.0", "18446744073709551616", "١٢", "2026-11-2９",
  ])
  func `a time that does not exist is refused, and so is what is none`(text: String) {
    #expect(PositionParameter.position(text, now: now) == nil)
    #expect(PositionParameter.position("event:" + text, now: now) == nil)
  }

  @Test func `offsets and the two ends are places`() {
    #expect(PositionParameter.position("beginning") == .beginning && PositionParameter.position("end") == .end)
    #expect(PositionParameter.position("007") == .offset(Offset(7)))
    #expect(PositionParameter.position("18446744073709551615") == .offset(Offset(.max)))
  }

  @Test func `every day of four centuries is a date, and no other is`() {
    var expected: Int64 = -11_676_096_000  // 1600-01-01
    for year in 1600..<2000 {
      for month in 1...12 {
        for day in 0...33 {
          func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
          // The same days four hundred years later lie within what a timestamp can say, from 1677 on.
          guard year + 400 < 2262 else { return }
          let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
          let length = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
          let found = time("\(year + 400)-\(two(month))-\(two(day))")
          if (1...length).contains(day) {
            #expect(found == (expected + 12_622_780_800) * 1_000_000_000, "\(year + 400)-\(month)-\(day)")
            expected += 86_400
          } else {
            #expect(found == nil, "\(year + 400)-\(month)-\(day)")
          }
        }
      }
    }
  }
}
