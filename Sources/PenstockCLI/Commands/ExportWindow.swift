import PenstockDelivery
import PenstockLog

/// Which records an export is of: a range of offsets, fixed at the start, and a condition on each event's own time.
struct ExportWindow {
  let range: Range<Offset>
  private let events: EventWindow?

  init(from: Position, to: Position, untimed: EventWindow.Untimed, of reader: LogReader) throws(LogError) {
    let window = try reader.window(from: from, to: to, untimed: untimed)
    let first = max(window.first, reader.first)
    range = first..<max(first, min(window.end, reader.end))
    events = window.events
  }

  /// Whether a record in the range is in the window, and whether its event has a time that can be read where that matters.
  func verdict(on record: RecordView) -> (isInside: Bool, isTimed: Bool) {
    guard let verdict = events?.verdict(on: record) else { return (true, true) }
    return (verdict.isInside, verdict.isTimed)
  }
}
