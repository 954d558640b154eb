/// A place in a log.
public enum Position: Hashable, Sendable {
  /// The first record still there.
  case beginning
  /// One past the last record there is now.
  case end
  case offset(Offset)
  /// The first record appended at or after this time.
  case time(Timestamp)
  /// The first record of the first block that may hold an event at or after this time, by the event times that appends told
  /// (`RecordBatch.append(_:eventTime:)`). Event times need not rise: no event at or after this time stands before the place,
  /// and behind it there may be events of any time. Records without an event time are not looked for. Sealing makes blocks
  /// larger, so the place may lie earlier afterwards.
  case eventTime(Timestamp)
}

extension Position {
  /// The time, where the place is one of events.
  public var asEventTime: Timestamp? {
    if case .eventTime(let time) = self { return time }
    return nil
  }
}
