import PenstockLog
import PenstockSupport

/// Parses the times that operators and queries use. Strict: a date that does not exist (30 February, 25:00, 00:61) is
/// rejected.
///
/// - `2026-11-23T15:00:00Z`: RFC 3339, with any UTC offset and any fraction of a second.
/// - `2026-11-23`: the start of that day in UTC.
/// - `@1431857103.5`: seconds since 1970.
/// - `-24h`: a duration ago, in s, m, h, d or w.
/// - `now`, and `today` or `yesterday` for the start of that day in UTC.
///
/// Exact to the nanosecond; further digits are cut off.
enum PositionTime {
  static func timestamp(_ text: Substring, now: Timestamp) -> Timestamp? {
    guard text.utf8.count <= 40 else { return nil }
    switch text {
    case "now": return now
    case "today": return midnight(now)
    case "yesterday": return sum(midnight(now).nanoseconds, -86_400 * 1_000_000_000)
    default: break
    }
    var reader = Reader(text)
    if reader.take("@") { return reader.seconds() }
    if reader.take("-") { return reader.ago(now) }
    return reader.date()
  }

  private static func midnight(_ time: Timestamp) -> Timestamp {
    var civil = CivilTime(time)
    (civil.hour, civil.minute, civil.second) = (0, 0, 0)
    return nanoseconds(seconds: civil.secondsSince1970, 0) ?? Timestamp(nanoseconds: .min)
  }

  private static func sum(_ a: Int64, _ b: Int64) -> Timestamp? {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? nil : Timestamp(nanoseconds: sum)
  }

  private static func nanoseconds(seconds: Int, _ fraction: Int64) -> Timestamp? {
    let (scaled, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? nil : sum(scaled, fraction)
  }

  private struct Reader {
    private var rest: Substring.UTF8View

    init(_ text: Substring) { rest = text.utf8 }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    /// A number of at least one digit, or of exactly `count` digits; nil when there is none, or it exceeds an `Int`.
    mutating func number(_ count: Int? = nil, in range: ClosedRange<Int> = 0...Int.max) -> Int? {
      let all = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      // `prefix(.max)` traps on a UTF-8 view.
      let digits = count.map { all.prefix($0) } ?? all
      guard !digits.isEmpty, count == nil || digits.count == count, let value = Int(Substring(digits)),
        range.contains(value)
      else { return nil }
      rest = rest[digits.endIndex...]
      return value
    }

    /// A fraction such as `.5`, in nanoseconds. Zero without a point; nil without digits after it.
    private mutating func fraction() -> Int64? {
      guard take(".") else { return 0 }
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard !digits.isEmpty else { return nil }
      rest = rest[digits.endIndex...]
      var value: Int64 = 0
      var scale: Int64 = 100_000_000
      for digit in digits.prefix(9) {
        value += Int64(digit - UInt8(ascii: "0")) * scale
        scale /= 10
      }
      return value
    }

    mutating func seconds() -> Timestamp? {
      guard let seconds = number(), let fraction = fraction(), rest.isEmpty else { return nil }
      return nanoseconds(seconds: seconds, fraction)
    }

    mutating func ago(_ now: Timestamp) -> Timestamp? {
      guard let count = number(), rest.count == 1, let unit = rest.first else { return nil }
      let units: [UInt8: Int] = [
        UInt8(ascii: "s"): 1, UInt8(ascii: "m"): 60, UInt8(ascii: "h"): 3600, UInt8(ascii: "d"): 86_400,
        UInt8(ascii: "w"): 604_800,
      ]
      guard let length = units[unit] else { return nil }
      let (seconds, overflow) = count.multipliedReportingOverflow(by: -length)
      guard !overflow, let span = nanoseconds(seconds: seconds, 0) else { return nil }
      return sum(now.nanoseconds, span.nanoseconds)
    }

    mutating func date() -> Timestamp? {
      guard let year = number(4), take("-"), let month = number(2, in: 1...12), take("-"),
        let day = number(2, in: 1...31), CivilTime.hasDay(day, ofMonth: month, in: year)
      else { return nil }
      if rest.isEmpty { return nanoseconds(seconds: CivilTime(year: year, month: month, day: day).secondsSince1970, 0) }
      // No leap second 60: seconds since 1970 cannot express it.
      guard take("T") || take("t"), let hour = number(2, in: 0...23), take(":"), let minute = number(2, in: 0...59),
        take(":"), let second = number(2, in: 0...59), let fraction = fraction(), let offset = offset(), rest.isEmpty
      else { return nil }
      let civil = CivilTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
      return nanoseconds(seconds: civil.secondsSince1970 - offset, fraction)
    }

    /// The UTC offset in seconds.
    private mutating func offset() -> Int? {
      if take("Z") || take("z") { return 0 }
      let isNegative = take("-")
      guard isNegative || take("+"), let hours = number(2, in: 0...23), take(":"), let minutes = number(2, in: 0...59)
      else { return nil }
      return (hours * 3600 + minutes * 60) * (isNegative ? -1 : 1)
    }
  }
}
