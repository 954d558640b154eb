import PenstockEvents
public import PenstockLog

extension EventWindow {
  /// Whether a record is inside the window.
  public struct Verdict: Hashable, Sendable {
    public let isInside: Bool
    /// Whether the record has a readable event time; see ``PenstockEvents/EventTime``.
    public let isTimed: Bool
  }

  /// Checks a record against the window, by the `ts` in its bytes. One pass, O(record bytes).
  public func verdict(on record: RecordView) -> Verdict {
    let time = EventTime.nanoseconds(ofEvent: record.bytes).map { Timestamp(nanoseconds: $0) }
    return Verdict(isInside: holds(eventTime: time, appendTime: record.appendTime), isTimed: time != nil)
  }
}
