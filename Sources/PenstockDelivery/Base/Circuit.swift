/// When a destination counts as down, and how gently it is met when it is back.
public struct CircuitPolicy: Sendable, Hashable {
  /// So many failures in a row open the circuit; a refusal opens it at once. At least 1.
  public var failures: Int
  /// The attempts in a second right after an outage; doubled every ``doubling``, and unlimited from ``full`` on. Nil: the
  /// backlog comes at full speed at once.
  public var drain: Double?
  public var doubling: Duration
  /// Attempts in a second.
  public var full: Double

  /// 5 failures; then from 2 attempts in a second, doubled every 5 seconds, to 64 in a second.
  public init(failures: Int = 5, drain: Double? = 2, doubling: Duration = .seconds(5), full: Double = 64) {
    self.failures = max(1, failures)
    self.drain = drain.map { max($0, 0.001) }
    self.doubling = max(.milliseconds(1), doubling)
    self.full = full
  }
}

/// Whether a destination is up, as far as the attempts at it say. Pure. ``Backoff`` says how long the waits are; this says
/// how many attempts may be under way after them.
///
/// ```
/// closed     attempts as the policies allow         failed, the n-th in a row → open      refused → open
/// open       none; somebody waits                   waited → half open
/// half open  one, as a probe                        succeeded → closed, draining          failed, refused → open
/// ```
/// Attempts that began before the newest failure belong to an earlier *round*: their failure says nothing new, and their
/// success does not close the circuit.
package struct Circuit: Hashable, Sendable {
  package typealias State = CircuitState

  package let policy: CircuitPolicy
  package private(set) var state = State.closed
  package private(set) var backoff: Backoff
  /// Raised by every failure that counts.
  package private(set) var round = 0
  /// Since when it drains what has piled up; nil when it does not.
  package private(set) var drainingSince: MonotonicInstant?

  package init(_ policy: CircuitPolicy, retry: RetryPolicy) {
    self.policy = policy
    backoff = Backoff(policy: retry)
  }

  /// The most attempts that may be under way at once; nil when the circuit sets no limit.
  package var maxAttempts: Int? {
    switch state {
    case .closed: nil
    case .open: 0
    case .halfOpen: 1
    }
  }

  /// Counts a failed attempt of `round`, or with nil a failure of log or cursor, which says nothing of the destination.
  ///
  /// - Returns: How long nothing is to be attempted, from `now`.
  package mutating func failed(
    round: Int?, at now: MonotonicInstant, retryAfter: Duration?, roll: UInt64
  ) -> Duration {
    if let round, round < self.round { return min(retryAfter ?? .zero, backoff.policy.maxRetryAfter) }
    let wait = backoff.failed(at: now, retryAfter: retryAfter, roll: roll)
    guard round != nil else { return wait }
    self.round += 1
    if state != .closed || backoff.failures >= policy.failures { open() }
    return wait
  }

  /// The destination refused us.
  package mutating func refused() {
    round += 1
    open()
  }

  /// The destination answered an attempt of `round` in a way that shows it is up.
  package mutating func succeeded(round: Int, at now: MonotonicInstant) {
    guard round == self.round else { return }
    backoff.succeeded()
    guard state != .closed else { return }
    state = .closed
    drainingSince = policy.drain == nil ? nil : now
  }

  /// The wait is over, or a person has ended it.
  package mutating func waited() { if state == .open { state = .halfOpen } }

  /// The least time between two attempts, while it drains.
  package mutating func spacing(at now: MonotonicInstant) -> Duration? {
    guard let since = drainingSince, let first = policy.drain else { return nil }
    var (rate, left) = (first, max(.zero, now - since))
    while left >= policy.doubling, rate < policy.full { (rate, left) = (rate * 2, left - policy.doubling) }
    guard rate < policy.full else {
      drainingSince = nil
      return nil
    }
    return .seconds(1 / rate)
  }

  private mutating func open() {
    state = .open
    drainingSince = nil
  }
}

/// Whether a destination is up.
public enum CircuitState: String, Sendable, Hashable, CaseIterable {
  /// It is.
  case closed
  /// It is not; nothing is sent.
  case open
  /// One batch is sent to see whether it is back.
  case halfOpen
}
