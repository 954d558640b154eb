package import PenstockLog

/// The records counted into a batch that is not closed yet. The records themselves stay in the log until the batch is
/// closed, so a long wait uses no memory.
package struct PendingBatch: Hashable, Sendable {
  package let first: Offset
  /// One past the last record counted in.
  package private(set) var end: Offset
  package private(set) var bytes = 0
  /// When the first record became visible; nil while there is none.
  package private(set) var since: MonotonicInstant?
  /// The first record's append time, by the time of day.
  package private(set) var firstAppendTime: Timestamp?
  /// The limit that is reached, if one is.
  package private(set) var fullBy: CloseReason?

  package init(first: Offset) {
    self.first = first
    end = first
  }

  package var count: Int { end - first }
  package var range: Range<Offset> { first..<end }

  /// How much the next read may ask for: at least 1 record and 1 byte, since a source returns at least one record.
  package func room(_ policy: BatchPolicy) -> (records: Int, bytes: Int) {
    (max(1, policy.maxRecords - count), max(1, policy.maxBytes - bytes))
  }

  /// Counts records in, unless they do not fit.
  ///
  /// - Parameters:
  ///   - end: One past the last of the records, which begin at `self.end`.
  ///   - since: When they became visible.
  /// - Returns: False when they belong to the next batch.
  package mutating func add(
    upTo end: Offset, bytes added: Int, appendTime: Timestamp, since seen: MonotonicInstant, _ policy: BatchPolicy
  ) -> Bool {
    guard fullBy == nil else { return false }
    // A record larger than the limit is a batch by itself. Any other record that exceeds the limit waits for the next
    // batch.
    guard count == 0 || bytes + added <= policy.maxBytes else {
      fullBy = .bytes
      return false
    }
    if count == 0 { (since, firstAppendTime) = (seen, appendTime) }
    self.end = end
    bytes += added
    if count >= policy.maxRecords { fullBy = .records } else if bytes >= policy.maxBytes { fullBy = .bytes }
    return true
  }

  /// Ends the batch before a gap. Has no effect when no record is counted in.
  package mutating func endBeforeGap() { if count > 0 { fullBy = fullBy ?? .gap } }
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
    guard let since = open.since, let appended = open.firstAppendTime else { return .wait(until: nil) }
    if let full = open.fullBy { return .take(full) }
    if takesPartialBatches { return .take(.caughtUp) }
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
