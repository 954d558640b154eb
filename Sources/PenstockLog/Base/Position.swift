/// A position in a log.
public enum Position: Hashable, Sendable {
  /// The first record that the log still holds.
  case beginning
  /// One past the last record that the log holds now.
  case end
  case offset(Offset)
  /// The first record appended at or after this time.
  case time(Timestamp)
  /// The first record of the first block that may hold an event at or after this time.
  /// `RecordBatch.append(_:eventTime:)` sets event times.
  ///
  /// Event times need not rise. No event at or after this time lies before the position; after it there may be events
  /// of any time. Records without an event time do not count. Sealing makes blocks larger, so the position may be
  /// earlier afterwards.
  case eventTime(Timestamp)
}

extension Position {
  /// The time, where the position is an event time.
  public var asEventTime: Timestamp? {
    if case .eventTime(let time) = self { return time }
    return nil
  }
}
