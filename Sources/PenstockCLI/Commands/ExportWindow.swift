import PenstockEvents
import PenstockLog

/// Which records an export is of: a range of offsets, fixed at the start, and a condition on each event's own time.
struct ExportWindow {
  let range: Range<Offset>
  /// Nanoseconds since 1970; nil where events of all times are wanted.
  let eventTimes: Range<Int64>?
  private let validator = EventValidator()

  init(from: Position, to: Position?, of reader: LogReader) throws(LogError) {
    let (lower, upper) = (Self.eventTime(from), to.flatMap(Self.eventTime))
    let first = max(lower == nil ? try reader.offset(of: from) : reader.first, reader.first)
    let end = min(
      upper == nil ? try to.map { to throws(LogError) in try reader.offset(of: to) } ?? reader.end : reader.end,
      reader.end)
    guard lower != nil || upper != nil else {
      range = first..<max(first, end)
      eventTimes = nil
      return
    }
    let (least, most) = (lower ?? .min, upper ?? .max)
    let times = least..<max(least, most)
    eventTimes = times
    // Blocks without such an event need not be read.
    let holding = try reader.offsets(
      mayHold: Timestamp(nanoseconds: times.lowerBound)..<Timestamp(nanoseconds: times.upperBound),
      from: .offset(first), to: .offset(max(first, end)))
    guard let start = holding.first?.lowerBound, let last = holding.last?.upperBound else {
      range = first..<first
      return
    }
    range = max(first, start)..<max(first, min(last, end))
  }

  private static func eventTime(_ place: Position) -> Int64? {
    if case .eventTime(let time) = place { return time.nanoseconds }
    return nil
  }

  /// Whether a record in the range is in the window; nil where its event has no time that can be read.
  func holds(_ record: RecordView) -> Bool? {
    guard let eventTimes else { return true }
    guard let time = try? validator.validate(record.bytes).eventTime else { return nil }
    return eventTimes.contains(time)
  }
}
