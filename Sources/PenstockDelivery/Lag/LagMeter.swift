import PenstockLog

/// Turns looks at one destination into its ``Lag``: rates, forecasts, health. Pure: facts come in, in the order of their time.
public struct LagMeter: Sendable, Hashable {
  public let cursor: String
  public let thresholds: LagThresholds
  private var last: LagFacts?
  /// The look that rates are counted from. Between two commits everything appended looks like falling behind, so a look
  /// counts only when something was committed, when nothing waits, or when too long has passed for that to be all.
  private var sample: LagFacts?
  private var delivered = SmoothedRate()
  private var appended = SmoothedRate()
  /// Growth of the stored bytes that the cursor has before it, a second. Not of the files: those grow by whole segments.
  private var growth = SmoothedRate()
  /// The last look at which something was committed, or nothing waited.
  private var movedAt: MonotonicInstant?

  public init(cursor: String, thresholds: LagThresholds = LagThresholds()) {
    self.cursor = cursor
    self.thresholds = thresholds
  }

  /// Takes a look in and says what it means. A look that is no later than the one before changes no rate.
  public mutating func observe(_ facts: LagFacts) -> Lag {
    learn(facts)
    let records = facts.end > facts.committed ? facts.end - facts.committed : 0
    let age = records == 0 ? .zero : facts.oldestAppendTime.map { facts.timeOfDay.since($0) } ?? .zero
    let still = records == 0 ? nil : movedAt.map { max(.zero, facts.at - $0) }
    let timeToLoss = timeToLoss(facts)
    let health = health(facts, age: age, still: still, timeToLoss: timeToLoss)
    let forecast = (drain: timeToDrain(records), loss: timeToLoss)
    return Lag(
      cursor: cursor, records: records, storedBytes: facts.storedBytes, age: age,
      recordsPerSecond: delivered.value, appendedPerSecond: appended.value, timeToDrain: forecast.drain,
      timeToLoss: timeToLoss, stillFor: still, health: health,
      words: words(facts, health, records: records, age: age, still: still, forecast))
  }

  private mutating func learn(_ facts: LagFacts) {
    defer { last = facts }
    guard let last, let sample else {
      (movedAt, sample) = (facts.at, facts)
      return
    }
    let isCaughtUp = facts.committed >= facts.end
    if facts.committed != last.committed || isCaughtUp { movedAt = facts.at }
    let elapsed = facts.at - sample.at
    guard elapsed > .zero else { return }
    guard facts.committed != sample.committed || isCaughtUp || elapsed >= thresholds.behindAfter else { return }
    self.sample = facts
    let (seconds, window) = (elapsed / .seconds(1), thresholds.rateWindow / .seconds(1))
    // A cursor that was moved back by hand delivered nothing by it.
    let moved = facts.committed > sample.committed ? facts.committed - sample.committed : 0
    let grown = facts.end > sample.end ? facts.end - sample.end : 0
    delivered.add(Double(moved), over: seconds, window: window)
    appended.add(Double(grown), over: seconds, window: window)
    growth.add(Double(facts.storedBytes - sample.storedBytes), over: seconds, window: window)
  }

  private func timeToDrain(_ records: Int) -> Duration? {
    if records == 0 { return .zero }
    guard let delivered = delivered.value, let appended = appended.value else { return nil }
    return .ifRepresentable(seconds: Double(records) / (delivered - appended))
  }

  private func timeToLoss(_ facts: LagFacts) -> Duration? {
    if facts.lost != nil { return .zero }
    guard let cap = facts.hardCapBytes, let bytes = facts.keptBytes, facts.committed < facts.end else { return nil }
    if bytes > cap { return .zero }
    guard let growth = growth.value else { return nil }
    return .ifRepresentable(seconds: Double(cap - bytes) / growth)
  }

  private func health(_ facts: LagFacts, age: Duration, still: Duration?, timeToLoss: Duration?) -> LagHealth {
    if let timeToLoss, timeToLoss <= thresholds.losingWithin { return .losing }
    if facts.pause != nil { return .paused }
    if facts.activity == .halted { return .halted }
    if let still, still > thresholds.stuckAfter { return .stuck }
    return age > thresholds.behindAfter ? .behind : .ok
  }

  private func words(
    _ facts: LagFacts, _ health: LagHealth, records: Int, age: Duration, still: Duration?,
    _ forecast: (drain: Duration?, loss: Duration?)
  ) -> String {
    let why = facts.trouble.map { "; in the way: \($0)" } ?? ""
    let behind = "\(records) records, the oldest \(age.inWords) old"
    switch health {
    case .losing:
      if let lost = facts.lost {
        return
          "cursor \(cursor) has lost records \(lost.lowerBound) ..< \(lost.upperBound) to retention's hard cap\(why)"
      }
      let left = forecast.loss ?? .zero
      let when = left == .zero ? "with the next run of retention" : "in \(left.inWords)"
      return "at this rate cursor \(cursor) loses data \(when): \(behind)\(why)"
    case .paused:
      let since = facts.pause?.since.map { " for \(facts.timeOfDay.since($0).inWords)" } ?? ""
      let reason = facts.pause.map { $0.reason.isEmpty ? "" : " (\($0.reason))" } ?? ""
      return "cursor \(cursor) has been paused by a person\(since)\(reason): \(behind)\(why)"
    case .halted: return "cursor \(cursor) waits for a person: \(behind)\(why)"
    case .stuck: return "cursor \(cursor) has not moved for \((still ?? .zero).inWords): \(behind)\(why)"
    case .behind:
      let end = forecast.drain.map { "caught up in \($0.inWords) at this rate" } ?? "and not catching up"
      return "cursor \(cursor) is behind: \(behind), \(end)\(why)"
    case .ok:
      return records == 0 ? "cursor \(cursor) is caught up" : "cursor \(cursor) is well: \(behind)\(why)"
    }
  }
}

/// An exponentially weighted mean of a rate over uneven steps of time.
///
/// After a step of d seconds the old mean counts e^(−d/window) and the step's own rate the rest, so that one long step and
/// many short ones of the same rate come to the same. The first step counts in full.
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

  /// eˣ for x ≤ 0, by halving x until the series is short; good to 12 digits, without a mathematics library.
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
  /// Nil for what is negative, infinite, or longer than a thousand years: no forecast.
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
