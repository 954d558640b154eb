package import PenstockLog

/// The records counted into a batch that is not closed yet: its *range*, and how many *events* of it are selected. The
/// records themselves stay in the log until the batch is closed, so a long wait uses no memory.
///
/// Limits count events. Records that are not selected are part of the range and count toward no limit but
/// ``mostSkipped``.
package struct PendingBatch: Hashable, Sendable {
  /// At most so many records of a range are not selected, so that finishing a batch after a crash, and what retention
  /// keeps for it, stay bounded.
  package static let mostSkipped = 1 << 20
  /// A range without an event spans at most this append time.
  package static let longestSilence: Duration = .seconds(3600)

  package let first: Offset
  /// One past the last record counted in.
  package private(set) var end: Offset
  package private(set) var events = 0
  /// Bytes of the events.
  package private(set) var bytes = 0
  /// When the first event became visible; nil while there is none.
  package private(set) var since: MonotonicInstant?
  /// The first event's append time, by the time of day.
  package private(set) var firstAppendTime: Timestamp?
  /// When the first record became visible; nil while there is none.
  package private(set) var rangeSince: MonotonicInstant?
  /// The first record's append time.
  package private(set) var rangeBegin: Timestamp?
  /// The limit that is reached, if one is.
  package private(set) var fullBy: CloseReason?

  package init(first: Offset) {
    self.first = first
    end = first
  }

  package var count: Int { end - first }
  package var range: Range<Offset> { first..<end }
  package var skipped: Int { count - events }

  /// How many events and bytes still fit: at least 1 of each, because a source returns at least one record.
  package func room(_ policy: BatchPolicy) -> (records: Int, bytes: Int) {
    (max(1, policy.maxRecords - events), max(1, policy.maxBytes - bytes))
  }

  /// Counts events in that follow each other, unless they do not fit.
  ///
  /// - Parameters:
  ///   - end: One past the last of them, which begin at `self.end`.
  ///   - seen: When they became visible.
  /// - Returns: False when they belong to the next batch.
  package mutating func add(
    upTo end: Offset, bytes added: Int, appendTime: Timestamp, since seen: MonotonicInstant, _ policy: BatchPolicy
  ) -> Bool {
    guard fullBy == nil else { return false }
    // An event larger than the limit is a batch by itself. Any other event that exceeds the limit waits for the next
    // batch.
    guard events == 0 || bytes + added <= policy.maxBytes else {
      fullBy = .bytes
      return false
    }
    if events == 0 { (since, firstAppendTime) = (seen, appendTime) }
    begin(appendTime, since: seen)
    events += end - self.end
    self.end = end
    bytes += added
    if events >= policy.maxRecords { fullBy = .records } else if bytes >= policy.maxBytes { fullBy = .bytes }
    return true
  }

  /// Counts records in that are not selected.
  ///
  /// - Returns: False when the batch is full.
  package mutating func skip(upTo end: Offset, appendTime: Timestamp, since seen: MonotonicInstant) -> Bool {
    guard fullBy == nil else { return false }
    begin(appendTime, since: seen)
    self.end = end
    let silence: Duration = .nanoseconds(appendTime.nanoseconds &- (rangeBegin ?? appendTime).nanoseconds)
    if skipped >= Self.mostSkipped || events == 0 && silence >= Self.longestSilence { fullBy = .range }
    return true
  }

  private mutating func begin(_ appendTime: Timestamp, since seen: MonotonicInstant) {
    if count == 0 { (rangeSince, rangeBegin) = (seen, appendTime) }
  }

  /// Ends the batch before what cannot be part of it. Has no effect when no record is counted in.
  package mutating func endBefore(_ reason: CloseReason) { if count > 0 { fullBy = fullBy ?? reason } }
}

/// What to do with an open batch.
package enum BatchDecision: Hashable, Sendable {
  /// Wait for one more record, at most until this moment if there is one.
  case wait(until: MonotonicInstant?)
  /// Close it and deliver it.
  case take(CloseReason)
}

/// Decides when an open batch is closed. Pure.
package struct BatchPlanner: Hashable, Sendable {
  package var policy: BatchPolicy
  /// Closes a batch with the records that are there instead of waiting for more.
  package var takesPartialBatches: Bool

  package init(policy: BatchPolicy, takesPartialBatches: Bool) {
    self.policy = policy
    self.takesPartialBatches = takesPartialBatches
  }

  /// - Parameters:
  ///   - open: Must count in everything visible that fits.
  ///   - now: By the clock that measures ``PendingBatch/since``.
  ///   - timeOfDay: By the clock of the append times.
  package func decide(_ open: PendingBatch, now: MonotonicInstant, timeOfDay: Timestamp) -> BatchDecision {
    if let full = open.fullBy { return .take(full) }
    guard let rangeSince = open.rangeSince else { return .wait(until: nil) }
    if takesPartialBatches { return .take(.caughtUp) }
    guard let since = open.since, let appended = open.firstAppendTime else {
      let deadline = rangeSince + PendingBatch.longestSilence
      return now >= deadline ? .take(.range) : .wait(until: deadline)
    }
    var deadline = since + policy.maxWait
    if let left = timeToBoundary(after: appended, from: timeOfDay) {
      if left <= .zero { return .take(.boundary) }
      deadline = min(deadline, now + left)
    }
    return now >= since + policy.maxWait ? .take(.age) : .wait(until: deadline)
  }

  /// Time left until the first boundary after `start`. Nil without a boundary, or when it is later than a timestamp can
  /// hold.
  private func timeToBoundary(after start: Timestamp, from now: Timestamp) -> Duration? {
    guard let step = policy.boundary?.wholeNanoseconds, step > 0 else { return nil }
    let floor = start.nanoseconds - modulo(start.nanoseconds, step)
    let (next, overflow) = floor.addingReportingOverflow(step)
    guard !overflow else { return nil }
    return .nanoseconds(next) - .nanoseconds(now.nanoseconds)
  }

  private func modulo(_ value: Int64, _ step: Int64) -> Int64 {
    let rest = value % step
    return rest < 0 ? rest + step : rest
  }
}

extension Duration {
  /// Rounded down; nil when it does not fit 64 bits (292 years).
  fileprivate var wholeNanoseconds: Int64? {
    let (scaled, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return nil }
    let (sum, late) = scaled.addingReportingOverflow(components.attoseconds / 1_000_000_000)
    return late ? nil : sum
  }
}
