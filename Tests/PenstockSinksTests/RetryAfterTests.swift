import PenstockLog
import Testing

@testable import PenstockSinks

struct RetryAfterTests {
  /// Sun, 06 Nov 1994 08:49:37 GMT
  private let now = Timestamp(nanoseconds: 784_111_777_000_000_000)

  @Test("seconds are seconds", arguments: [("0", 0), ("120", 120), (" 7\t", 7), ("99999999999999999999", 31_536_000)])
  func seconds(text: String, expected: Int) {
    #expect(RetryAfter.parse(text, now: now) == .seconds(expected))
  }

  @Test(
    "a date is the time until it, and never negative",
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sun, 06 Nov 1994 08:50:00 GMT", 23),
      ("Mon, 07 Nov 1994 08:49:37 GMT", 86_400), ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
      ("Fri, 31 Dec 9999 23:59:59 GMT", 31_536_000),
    ])
  func dates(text: String, expected: Int) {
    #expect(RetryAfter.parse(text, now: now) == .seconds(expected))
  }

  @Test("half a second before the date is half a second")
  func fractions() {
    let earlier = Timestamp(nanoseconds: now.nanoseconds - 500_000_000)
    #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:49:37 GMT", now: earlier) == .milliseconds(500))
  }

  @Test(
    "anything else is not understood",
    arguments: [
      "", " ", "-1", "1.5", "+5", "soon", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
      "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994  08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT",
    ])
  func notUnderstood(text: String) {
    #expect(RetryAfter.parse(text, now: now) == nil)
  }
}
