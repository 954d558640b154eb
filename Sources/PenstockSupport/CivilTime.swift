package import PenstockLog

/// A timestamp as a date and time of day in UTC.
///
/// The date arithmetic is Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms" (`civil_from_days`,
/// `days_from_civil`). It is proleptic Gregorian and exact for every `Timestamp`, without a table or a time zone
/// database.
package struct CivilTime: Hashable {
  package var year: Int
  /// 1 to 12.
  package var month: Int
  /// 1 to 31.
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int

  package init(_ time: Timestamp) {
    let seconds = Self.floorDivide(Int(time.nanoseconds), 1_000_000_000)
    let days = Self.floorDivide(seconds, 86_400)
    let secondOfDay = seconds - days * 86_400
    hour = secondOfDay / 3600
    minute = secondOfDay / 60 % 60
    second = secondOfDay % 60

    // Years begin in March here, so that the leap day is the last day of a year.
    let shifted = days + 719_468
    let era = Self.floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// Reads `2026-02-28T23:59:58Z` (RFC 3339, in UTC) and ignores a fraction of a second. Nil for any other text, and
  /// for a date that does not exist.
  package init?(internetDate text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"), bytes[4] == UInt8(ascii: "-"), bytes[7] == bytes[4],
      bytes[10] == UInt8(ascii: "T"), bytes[13] == UInt8(ascii: ":"), bytes[16] == bytes[13],
      bytes.count == 20 || bytes[19] == UInt8(ascii: ".")
    else { return nil }
    func number(_ range: Range<Int>, _ valid: ClosedRange<Int>) -> Int? {
      let digits = bytes[range]
      guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      let value = digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
      return valid.contains(value) ? value : nil
    }
    guard let year = number(0..<4, 0...9999), let month = number(5..<7, 1...12), let day = number(8..<10, 1...31),
      let hour = number(11..<13, 0...23), let minute = number(14..<16, 0...59), let second = number(17..<19, 0...60),
      bytes.count == 20 || number(20..<21, 0...9) != nil, Self.hasDay(day, ofMonth: month, in: year)
    else { return nil }
    self.init(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
  }

  /// Whether the day exists in the calendar.
  package static func hasDay(_ day: Int, ofMonth month: Int, in year: Int) -> Bool {
    guard (1...12).contains(month) else { return false }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return (1...[31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]).contains(day)
  }

  /// Seconds since 1970-01-01T00:00:00Z.
  package var secondsSince1970: Int {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = Self.floorDivide(shiftedYear, 400)
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return days * 86_400 + hour * 3600 + minute * 60 + second
  }

  private static func floorDivide(_ a: Int, _ b: Int) -> Int { a >= 0 || a % b == 0 ? a / b : a / b - 1 }
}

extension Int {
  /// In decimal, left-padded with zeros to `width` digits.
  package func padded(_ width: Int) -> String { String(self).leftPadded(width) }
}

extension UInt64 {
  /// In decimal, left-padded with zeros to `width` digits.
  package func padded(_ width: Int) -> String { String(self).leftPadded(width) }
}

extension String {
  fileprivate func leftPadded(_ width: Int) -> String {
    let missing = width - utf8.count
    return missing > 0 ? String(repeating: "0", count: missing) + self : self
  }
}
