/// How long a delivery waits before it tries again.
///
/// The wait before the n-th retry is drawn evenly from 0 up to `first · 2ⁿ⁻¹`, at most `cap`. This "full jitter" keeps
/// many clients from retrying in step (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). When
/// a destination names a time (`Retry-After`, RFC 9110 §10.2.3), the delivery does not try earlier. Jitter never
/// shortens that time; only ``maxRetryAfter`` limits it.
public struct RetryPolicy: Sendable, Hashable {
  /// The upper bound of the first wait.
  public var first: Duration
  /// The upper bound of every drawn wait.
  public var cap: Duration
  /// The most that `Retry-After` may ask for. A longer time counts as this one.
  public var maxRetryAfter: Duration
  /// The wait after a refusal (a wrong key, a bucket that does not exist), which an operator has to fix. Neither drawn
  /// nor doubled.
  public var refusedWait: Duration
  /// How long failures in a row may last in a delivery that runs until it has caught up. A retry that could only begin
  /// later ends the delivery with an error. Nil, the default, sets no limit. A delivery that runs as a service never
  /// gives up.
  public var giveUpAfter: Duration?

  /// 1 second first, at most 2 minutes; at most an hour for `Retry-After`; 5 minutes after a refusal; never gives up.
  public init(
    first: Duration = .seconds(1), cap: Duration = .seconds(120), maxRetryAfter: Duration = .seconds(3600),
    refusedWait: Duration = .seconds(300), giveUpAfter: Duration? = nil
  ) {
    self.first = max(.zero, first)
    self.cap = max(.zero, cap)
    self.maxRetryAfter = max(.zero, maxRetryAfter)
    self.refusedWait = max(.zero, refusedWait)
    self.giveUpAfter = giveUpAfter
  }
}

/// Failures in a row at one destination, and the wait that follows from them. Pure: the caller passes the random bits.
package struct Backoff: Hashable, Sendable {
  package let policy: RetryPolicy
  /// Failures since the last success.
  package private(set) var failures = 0
  /// When the first of these failures was.
  package private(set) var failingSince: MonotonicInstant?

  package init(policy: RetryPolicy) { self.policy = policy }

  /// The upper bound of the next drawn wait.
  package var ceiling: Duration {
    var ceiling = min(policy.first, policy.cap)
    guard ceiling > .zero else { return .zero }
    var doublings = max(0, failures - 1)
    while doublings > 0, ceiling < policy.cap {
      ceiling = min(ceiling * 2, policy.cap)
      doublings -= 1
    }
    return ceiling
  }

  /// Counts a failure and returns how long to wait.
  ///
  /// - Parameters:
  ///   - retryAfter: The wait that the destination asked for.
  ///   - roll: 64 random bits.
  package mutating func failed(at now: MonotonicInstant, retryAfter: Duration?, roll: UInt64) -> Duration {
    failures += 1
    failingSince = failingSince ?? now
    let drawn = ceiling * (Double(roll >> 11) / 0x1p53)
    return max(drawn, min(retryAfter ?? .zero, policy.maxRetryAfter))
  }

  package mutating func succeeded() {
    failures = 0
    failingSince = nil
  }

  /// Whether a try at `moment` would be later than the policy allows.
  package func isTooLate(_ moment: MonotonicInstant) -> Bool {
    guard let limit = policy.giveUpAfter, let failingSince else { return false }
    return moment - failingSince > limit
  }
}
