/// When a destination counts as down, and how gently the delivery resumes when it is back.
public struct CircuitPolicy: Sendable, Hashable {
  /// This many failures in a row open the circuit. A refusal opens it at once. At least 1.
  public var failures: Int
  /// Attempts per second right after an outage. Doubles every ``doubling`` until ``full``; then there is no limit. Nil:
  /// the backlog is sent at full speed at once.
  public var drain: Double?
  /// How long until the attempts per second double.
  public var doubling: Duration
  /// Attempts per second above which there is no limit.
  public var full: Double

  /// 5 failures; after an outage 2 attempts per second, doubled every 5 seconds, up to 64.
  public init(failures: Int = 5, drain: Double? = 2, doubling: Duration = .seconds(5), full: Double = 64) {
    self.failures = max(1, failures)
    self.drain = drain.map { max($0, 0.001) }
    self.doubling = max(.milliseconds(1), doubling)
    self.full = full
  }
}

/// Whether a destination is up, judged by the attempts at it. Pure. ``Backoff`` says how long to wait; the circuit says
/// how many attempts may be in flight after the wait.
///
/// ```
/// closed     attempts as the policies allow   failed, the n-th in a row → open   refused → open
/// open       none, until the wait is over     waited → half open
/// half open  one, as a probe                  succeeded → closed, draining       failed, refused → open
/// ```
/// Attempts that began before the newest failure belong to an earlier *round*. Their failure is not counted again, and
/// their success does not close the circuit.
package struct Circuit: Hashable, Sendable {
  package typealias State = CircuitState

  package let policy: CircuitPolicy
  package private(set) var state = State.closed
  package private(set) var backoff: Backoff
  /// Every failure that counts increments it.
  package private(set) var round = 0
  /// When draining the backlog began; nil when it does not drain.
  package private(set) var drainingSince: MonotonicInstant?

  package init(_ policy: CircuitPolicy, retry: RetryPolicy) {
    self.policy = policy
    backoff = Backoff(policy: retry)
  }

  /// The most attempts that may be in flight at once; nil when the circuit sets no limit.
  package var maxAttempts: Int? {
    switch state {
    case .closed: nil
    case .open: 0
    case .halfOpen: 1
    }
  }

  /// Counts a failed attempt of `round`. Nil means a failure of the log or the cursor, which says nothing about the
  /// destination.
  ///
  /// - Returns: How long to attempt nothing, from `now`.
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

  /// The destination refused the sender, for example its credentials.
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

  /// The wait is over, or an operator has ended it.
  package mutating func waited() { if state == .open { state = .halfOpen } }

  /// The least time between two attempts while it drains; nil without a limit.
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
  /// The destination is up.
  case closed
  /// The destination is down; nothing is sent.
  case open
  /// One batch is sent to see whether the destination is back.
  case halfOpen
}
