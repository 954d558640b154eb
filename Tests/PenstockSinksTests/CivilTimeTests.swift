import PenstockLog
import Testing

@testable import PenstockSinks
import PenstockSupport

struct CivilTimeTests {
  @Test(
    "known moments have their dates",
    arguments: [
      (0, CivilTime(year: 1970, month: 1, day: 1)),
      (-1, CivilTime(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59)),
      (951_782_400, CivilTime(year: 2000, month: 2, day: 29)),
      (951_868_800, CivilTime(year: 2000, month: 3, day: 1)),
      (4_107_542_399, CivilTime(year: 2100, month: 2, day: 28, hour: 23, minute: 59, second: 59)),
      (4_107_542_400, CivilTime(year: 2100, month: 3, day: 1)),
      (1_369_353_600, CivilTime(year: 2013, month: 5, day: 24)),
      (-2_203_977_600, CivilTime(year: 1900, month: 2, day: 28)),
      (-2_203_891_200, CivilTime(year: 1900, month: 3, day: 1)),
    ])
  func knownMoments(seconds: Int, civil: CivilTime) {
    #expect(CivilTime(Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000)) == civil)
    #expect(civil.secondsSince1970 == seconds)
  }

  @Test("every day from 1890 to 2110 follows the one before, by the rules of the calendar")
  func everyDayFollows() {
    var expected = CivilTime(year: 1890, month: 1, day: 1)
    var seconds = expected.secondsSince1970
    while expected.year < 2110 {
      let civil = CivilTime(Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000))
      guard civil == expected, expected.secondsSince1970 == seconds else {
        Issue.record("\(civil) instead of \(expected)")
        return
      }
      let isLeap = expected.year % 4 == 0 && (expected.year % 100 != 0 || expected.year % 400 == 0)
      let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      expected.day += 1
      if expected.day > lengths[expected.month - 1] {
        expected.day = 1
        expected.month += 1
      }
      if expected.month > 12 {
        expected.month = 1
        expected.year += 1
      }
      seconds += 86_400
    }
    #expect(seconds == CivilTime(year: 2110, month: 1, day: 1).secondsSince1970)
  }

  @Test("the ends of the range do not trap")
  func endsOfTheRange() {
    #expect(CivilTime(Timestamp(nanoseconds: .max)).year == 2262)
    #expect(CivilTime(Timestamp(nanoseconds: .min)).year == 1677)
    #expect(CivilTime(Timestamp(nanoseconds: -1)).second == 59)
  }
}
