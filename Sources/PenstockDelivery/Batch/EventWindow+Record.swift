import PenstockEvents
public import PenstockLog

extension EventWindow {
  /// What the window says of a record.
  public struct Verdict: Hashable, Sendable {
    public let isInside: Bool
    /// Whether the record has an event time that can be read; see ``PenstockEvents/EventTime``.
    public let isTimed: Bool
  }

  /// Holds a record against the window, by the `ts` in its bytes. Takes one pass, O(record bytes).
  public func verdict(on record: RecordView) -> Verdict {
    let time = EventTime.nanoseconds(ofEvent: record.bytes).map { Timestamp(nanoseconds: $0) }
    return Verdict(isInside: holds(eventTime: time, appendTime: record.appendTime), isTimed: time != nil)
  }
}
