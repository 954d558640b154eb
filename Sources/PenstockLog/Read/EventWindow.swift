/// Selects records by their own event time: a condition that depends on a record alone.
///
/// A log finds the blocks that may hold such events (``ReadableLog/window(from:to:untimed:)``); their reader checks
/// each record. ``description`` is stable: plans of deliveries store it.
public struct EventWindow: Hashable, Sendable {
  /// What to do with a record without a readable event time: it is not a JSON object, has no `ts`, or has a `ts` that
  /// is not a number.
  public enum Untimed: String, Sendable, Hashable, CaseIterable {
    /// The window excludes it.
    case skip
    /// The window includes it, at any offset.
    case include
    /// Its append time counts as its event time.
    case appendTime = "append-time"
  }

  /// The earliest time; nil: any.
  public let from: Timestamp?
  /// The end of the times, exclusive; nil: any.
  public let until: Timestamp?
  /// What to do with records without a readable event time.
  public let untimed: Untimed

  /// Times from `from` up to, and without, `until`; nil is no bound.
  public init(from: Timestamp? = nil, until: Timestamp? = nil, untimed: Untimed = .skip) {
    self.from = from
    self.until = until
    self.untimed = untimed
  }

  /// The condition of two positions; nil when neither is an event time.
  public init?(from: Position, to: Position, untimed: Untimed = .skip) {
    let (first, end) = (from.asEventTime, to.asEventTime)
    guard first != nil || end != nil else { return nil }
    self.init(from: first, until: end, untimed: untimed)
  }

  /// Whether a time lies in the window.
  public func contains(_ time: Timestamp) -> Bool {
    if let from, time < from { return false }
    if let until, time >= until { return false }
    return true
  }

  /// Whether a record is in the window. `eventTime` is the record's own time, nil when it cannot be read.
  public func holds(eventTime: Timestamp?, appendTime: Timestamp) -> Bool {
    if let eventTime { return contains(eventTime) }
    switch untimed {
    case .skip: return false
    case .include: return true
    case .appendTime: return contains(appendTime)
    }
  }

  /// Whether some time of a range lies in the window.
  func overlaps(_ times: ClosedRange<Int64>) -> Bool {
    if let from, times.upperBound < from.nanoseconds { return false }
    if let until, times.lowerBound >= until.nanoseconds { return false }
    return true
  }

  /// Whether no time can lie in it.
  var isEmpty: Bool {
    guard let from, let until else { return false }
    return from >= until
  }
}

extension EventWindow: LosslessStringConvertible {
  /// `FROM..UNTIL untimed`: nanoseconds since 1970, nothing where there is no bound.
  public var description: String {
    func text(_ time: Timestamp?) -> String { time.map { String($0.nanoseconds) } ?? "" }
    return "\(text(from))..\(text(until)) \(untimed.rawValue)"
  }

  /// Reads ``description``; nil for any other text.
  public init?(_ description: String) {
    let parts = description.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 2, let untimed = Untimed(rawValue: String(parts[1])) else { return nil }
    let bounds = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    guard bounds.count == 3, bounds[1].isEmpty else { return nil }
    func time(_ text: Substring) -> Timestamp?? {
      if text.isEmpty { return .some(nil) }
      return Int64(text).map { Timestamp(nanoseconds: $0) }
    }
    guard let from = time(bounds[0]), let until = time(bounds[2]) else { return nil }
    self.init(from: from, until: until, untimed: untimed)
    // Each condition has exactly one text.
    guard self.description == description else { return nil }
  }
}

/// A window of the log: the offsets of two positions now, and the condition on each record where a position is an event
/// time. The offsets reach from the first to the last block that may hold such an event. Blocks between them may hold
/// none.
public struct LogWindow: Hashable, Sendable {
  /// It may end before it begins, where the positions do.
  public let first: Offset
  /// One past the last offset.
  public let end: Offset
  /// Nil: the window includes every record of the offsets.
  public let events: EventWindow?

  /// A window of these offsets.
  public init(first: Offset, end: Offset, events: EventWindow? = nil) {
    self.first = first
    self.end = end
    self.events = events
  }

  /// Empty where the window ends before it begins.
  public var offsets: Range<Offset> { first..<max(first, end) }
}
