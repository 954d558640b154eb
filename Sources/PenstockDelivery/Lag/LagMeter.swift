import PenstockLog

/// Computes a destination's ``Lag`` from snapshots: rates, forecasts and health. Pure. The caller passes snapshots in
/// the order of their time.
public struct LagMeter: Sendable, Hashable {
  /// The cursor's name, which names the destination.
  public let cursor: String
  /// The thresholds of the health.
  public let thresholds: LagThresholds
  private var last: LagSnapshot?
  /// The snapshot that rates are counted from. Between two commits all appends look like a growing lag. So a snapshot
  /// counts only when something was committed, when nothing waits, or when too much time has passed.
  private var sample: LagSnapshot?
  private var delivered = SmoothedRate()
  private var appended = SmoothedRate()
  /// Growth of the stored bytes after the cursor, per second. File sizes would not do: they grow by whole segments.
  private var growth = SmoothedRate()
  /// The last snapshot at which something was committed, or nothing waited.
  private var movedAt: MonotonicInstant?

  /// A meter that has seen no snapshot yet.
  public init(cursor: String, thresholds: LagThresholds = LagThresholds()) {
    self.cursor = cursor
    self.thresholds = thresholds
  }

  /// Takes a snapshot and returns the lag. A snapshot that is no later than the one before changes no rate.
  public mutating func observe(_ snapshot: LagSnapshot) -> Lag {
    learn(snapshot)
    let records = snapshot.end > snapshot.committed ? snapshot.end - snapshot.committed : 0
    let age = records == 0 ? .zero : snapshot.oldestAppendTime.map { snapshot.timeOfDay.since($0) } ?? .zero
    let still = records == 0 ? nil : movedAt.map { max(.zero, snapshot.at - $0) }
    let timeToLoss = timeToLoss(snapshot)
    let health = health(snapshot, age: age, still: still, timeToLoss: timeToLoss)
    let forecast = (drain: timeToDrain(records), loss: timeToLoss)
    return Lag(
      cursor: cursor, records: records, storedBytes: snapshot.storedBytes, age: age,
      recordsPerSecond: delivered.value, appendedPerSecond: appended.value, timeToDrain: forecast.drain,
      timeToLoss: timeToLoss, stillFor: still, health: health,
      words: words(snapshot, health, records: records, age: age, still: still, forecast))
  }

  private mutating func learn(_ snapshot: LagSnapshot) {
    defer { last = snapshot }
    guard let last, let sample else {
      (movedAt, sample) = (snapshot.at, snapshot)
      return
    }
    let isCaughtUp = snapshot.committed >= snapshot.end
    if snapshot.committed != last.committed || isCaughtUp { movedAt = snapshot.at }
    let elapsed = snapshot.at - sample.at
    guard elapsed > .zero else { return }
    guard snapshot.committed != sample.committed || isCaughtUp || elapsed >= thresholds.behindAfter else { return }
    self.sample = snapshot
    let (seconds, window) = (elapsed / .seconds(1), thresholds.rateWindow / .seconds(1))
    // Moving a cursor back by hand is not a delivery.
    let moved = snapshot.committed > sample.committed ? snapshot.committed - sample.committed : 0
    let grown = snapshot.end > sample.end ? snapshot.end - sample.end : 0
    delivered.add(Double(moved), over: seconds, window: window)
    appended.add(Double(grown), over: seconds, window: window)
    growth.add(Double(snapshot.storedBytes - sample.storedBytes), over: seconds, window: window)
  }

  private func timeToDrain(_ records: Int) -> Duration? {
    if records == 0 { return .zero }
    guard let delivered = delivered.value, let appended = appended.value else { return nil }
    return .ifRepresentable(seconds: Double(records) / (delivered - appended))
  }

  private func timeToLoss(_ snapshot: LagSnapshot) -> Duration? {
    if snapshot.lost != nil { return .zero }
    guard let cap = snapshot.hardCapBytes, let bytes = snapshot.keptBytes, snapshot.committed < snapshot.end else {
      return nil
    }
    if bytes > cap { return .zero }
    guard let growth = growth.value else { return nil }
    return .ifRepresentable(seconds: Double(cap - bytes) / growth)
  }

  private func health(_ snapshot: LagSnapshot, age: Duration, still: Duration?, timeToLoss: Duration?) -> LagHealth {
    if let timeToLoss, timeToLoss <= thresholds.losingWithin { return .losing }
    if snapshot.pause != nil { return .paused }
    if snapshot.activity == .halted { return .halted }
    if let still, still > thresholds.stuckAfter { return .stuck }
    return age > thresholds.behindAfter ? .behind : .ok
  }

  private func words(
    _ snapshot: LagSnapshot, _ health: LagHealth, records: Int, age: Duration, still: Duration?,
    _ forecast: (drain: Duration?, loss: Duration?)
  ) -> String {
    let why = snapshot.trouble.map { "; trouble: \($0)" } ?? ""
    let backlog = "\(records) records, the oldest \(age.inWords) old"
    switch health {
    case .losing:
      if let lost = snapshot.lost {
        return
          "cursor \(cursor) has lost records \(lost.lowerBound) ..< \(lost.upperBound) to retention's hard cap\(why)"
      }
      let left = forecast.loss ?? .zero
      let when = left == .zero ? "with the next run of retention" : "in \(left.inWords)"
      return "at this rate cursor \(cursor) loses data \(when): \(backlog)\(why)"
    case .paused:
      let since = snapshot.pause?.since.map { " for \(snapshot.timeOfDay.since($0).inWords)" } ?? ""
      let reason = snapshot.pause.map { $0.reason.isEmpty ? "" : " (\($0.reason))" } ?? ""
      return "cursor \(cursor) has been paused by an operator\(since)\(reason): \(backlog)\(why)"
    case .halted: return "cursor \(cursor) waits for an operator: \(backlog)\(why)"
    case .stuck: return "cursor \(cursor) has not moved for \((still ?? .zero).inWords): \(backlog)\(why)"
    case .behind:
      let end = forecast.drain.map { "caught up in \($0.inWords) at this rate" } ?? "and not catching up"
      return "cursor \(cursor) is lagging: \(backlog), \(end)\(why)"
    case .ok:
      return records == 0 ? "cursor \(cursor) is caught up" : "cursor \(cursor) is healthy: \(backlog)\(why)"
    }
  }
}

/// An exponentially weighted mean of a rate over uneven steps of time.
///
/// After a step of d seconds the old mean counts e^(−d/window) and the step's own rate the rest. So one long step and
/// many short ones of the same rate give the same mean. The first step counts in full.
private struct SmoothedRate: Hashable {
  private(set) var value: Double?

  mutating func add(_ amount: Double, over seconds: Double, window: Double) {
    let rate = amount / seconds
    guard let old = value else {
      value = rate
      return
    }
    let weight = exponential(-seconds / window)
    value = old * weight + rate * (1 - weight)
  }

  /// eˣ for x ≤ 0: halves x until the series is short. Good to 12 digits, without a mathematics library.
  private func exponential(_ x: Double) -> Double {
    if x < -700 { return 0 }
    var (small, halvings) = (x, 0)
    while small < -0.01 {
      small /= 2
      halvings += 1
    }
    var result = 1 + small * (1 + small / 2 * (1 + small / 3 * (1 + small / 4)))
    for _ in 0..<halvings { result *= result }
    return result
  }
}

extension Timestamp {
  /// Never below zero: the time of day may have been set back.
  fileprivate func since(_ earlier: Timestamp) -> Duration {
    let (difference, overflow) = nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
    if overflow { return nanoseconds < earlier.nanoseconds ? .zero : .nanoseconds(Int64.max) }
    return .nanoseconds(max(0, difference))
  }
}

extension Duration {
  /// Nil, meaning no forecast, for a value that is negative, infinite, or longer than a thousand years.
  fileprivate static func ifRepresentable(seconds: Double) -> Duration? {
    seconds >= 0 && seconds < 3.2e10 ? .seconds(seconds) : nil
  }

  /// The two largest units, as `3 h 12 m`.
  package var inWords: String {
    let seconds = components.seconds
    switch seconds {
    case ..<60: return "\(seconds) s"
    case ..<3600: return "\(seconds / 60) m \(seconds % 60) s"
    case ..<86_400: return "\(seconds / 3600) h \(seconds % 3600 / 60) m"
    default: return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
    }
  }
}
