import PenstockDelivery
import PenstockLog

/// The records of an export: a range of offsets, fixed at the start, and a condition on the event time.
struct ExportWindow {
  let range: Range<Offset>
  private let events: EventWindow?

  init(from: Position, to: Position, untimed: EventWindow.Untimed, of reader: LogReader) throws(LogError) {
    let window = try reader.window(from: from, to: to, untimed: untimed)
    let first = max(window.first, reader.first)
    range = first..<max(first, min(window.end, reader.end))
    events = window.events
  }

  /// Whether a record of the range is in the window, and whether its event time is readable. Without a condition on the
  /// event time, both are true.
  func verdict(on record: RecordView) -> (isInside: Bool, isTimed: Bool) {
    guard let verdict = events?.verdict(on: record) else { return (true, true) }
    return (verdict.isInside, verdict.isTimed)
  }
}
