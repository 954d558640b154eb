package import PenstockLog
import PenstockSupport

/// The `Retry-After` header (RFC 9110, section 10.2.3).
package enum RetryAfter {
  /// The time to wait from `now`; nil if the value is neither a number of seconds nor an IMF-fixdate.
  ///
  /// A date in the past gives zero. The result is at most one year.
  package static func parse(_ value: String, now: Timestamp) -> Duration? {
    let text = value.trimmingBlanks()
    let year = 365 * 86_400
    if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      return .seconds(min(Int(text) ?? year, year))
    }
    guard let date = parseDate(text) else { return nil }
    let wait = Duration.seconds(date) - .nanoseconds(now.nanoseconds)
    return min(max(wait, .zero), .seconds(year))
  }

  /// An IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), in seconds since 1970. Does
  /// not compare the day of the week.
  package static func parseDate(_ text: String) -> Int? {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 6, weekdays.contains(parts[0]), parts[5] == "GMT" else { return nil }
    let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
    guard clock.count == 3, let month = months.firstIndex(of: String(parts[2])),
      let day = number(parts[1], digits: 2, 1...31), let year = number(parts[3], digits: 4, 0...9999),
      let hour = number(clock[0], digits: 2, 0...23), let minute = number(clock[1], digits: 2, 0...59),
      let second = number(clock[2], digits: 2, 0...60), CivilTime.hasDay(day, ofMonth: month + 1, in: year)
    else { return nil }
    return CivilTime(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)
      .secondsSince1970
  }

  private static let weekdays: [Substring] = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  private static func number(_ text: Substring, digits: Int, _ range: ClosedRange<Int>) -> Int? {
    guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int(text),
      range.contains(value)
    else { return nil }
    return value
  }
}

extension String {
  func trimmingBlanks() -> String {
    let start = drop { $0 == " " || $0 == "\t" }
    guard let last = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return String(start[...last])
  }
}
