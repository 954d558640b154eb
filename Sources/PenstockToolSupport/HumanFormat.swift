import Foundation
package import PenstockLog

/// Formats numbers, times and tables as text.
package enum HumanFormat {
  /// `1.4 MiB`
  package static func bytes(_ count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(count) B" : String(format: value < 10 ? "%.2f " : "%.1f ", value) + units[unit]
  }

  package static func bytes(_ count: UInt64) -> String { bytes(Int(clamping: count)) }

  /// `1,234,567`
  package static func count(_ value: some BinaryInteger) -> String {
    let digits = String(value)
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0, result != "-" { result.append(",") }
      result.append(digit)
    }
    return result
  }

  /// `1,234 records`, `1 record`
  package static func count(_ value: Int, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// `0.42 s`, `3 min 20 s`
  package static func seconds(_ value: Double) -> String {
    if value < 60 { return String(format: value < 10 ? "%.2f s" : "%.0f s", value) }
    let whole = Int(min(value, 1e9))
    return whole < 3600 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  /// `12.3 %`; a dash when `whole` is 0.
  package static func share(_ part: some BinaryInteger, of whole: some BinaryInteger) -> String {
    whole == 0 ? "–" : String(format: "%.1f %%", Double(part) / Double(whole) * 100)
  }

  /// `2026-11-23T15:34:37.123Z`
  package static func time(_ time: Timestamp) -> String {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return Date(timeIntervalSince1970: time.seconds).formatted(style)
  }

  /// Aligns columns, with two spaces between them. The columns in `right` are right-aligned.
  package static func table(_ rows: [[String]], right: Set<Int> = []) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return right.contains(column) ? space + cell : cell + space
      }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
