package import PenstockLog

/// The records counted into a batch that is not closed yet. Counts only: the records stay in the log until the batch is
/// taken, so a long wait holds no memory.
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

  /// What may still be asked of the source; at least 1 record and 1 byte, since a source gives one record in any case.
  package func room(_ policy: BatchPolicy) -> (records: Int, bytes: Int) {
    (max(1, policy.maxRecords - count), max(1, policy.maxBytes - bytes))
  }

  /// Counts records in, or finds that they do not fit.
  ///
  /// - Parameters:
  ///   - end: One past the last of the records, which begin at `self.end`.
  ///   - since: When they became visible.
  /// - Returns: False when they belong to the next batch.
  package mutating func add(
    upTo end: Offset, bytes added: Int, appendTime: Timestamp, since seen: MonotonicInstant, _ policy: BatchPolicy
  ) -> Bool {
    guard fullBy == nil else { return false }
    // A record larger than the limit is a batch by itself; anything else that passes the limit waits for the next.
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

  /// The records behind those counted in are lost: the batch ends before them. Nothing when none are counted in.
  package mutating func endBeforeGap() { if count > 0 { fullBy = fullBy ?? .gap } }
}

/// What to do with an open batch.
package enum BatchDecision: Hashable, Sendable {
  /// Wait for a record more, but, if given, not past this moment.
  case wait(until: MonotonicInstant?)
  /// Close it and deliver it.
  case take(CloseReason)
}

/// Decides when an open batch is closed. Pure: the facts come in, the decision goes out.
package struct BatchPlanner: Hashable, Sendable {
  package var policy: BatchPolicy
  /// Takes what is there instead of waiting for more.
  package var takesPartialBatches: Bool

  package init(policy: BatchPolicy, takesPartialBatches: Bool) {
    self.policy = policy
    self.takesPartialBatches = takesPartialBatches
  }

  /// - Parameters:
  ///   - open: Everything visible that fits is counted in.
  ///   - now: By the clock that measures ``PendingBatch/since``.
  ///   - timeOfDay: By the clock that gave the append times.
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

  /// Time left until the first boundary after `start`; nil without one, or when it lies beyond what a timestamp can say.
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
