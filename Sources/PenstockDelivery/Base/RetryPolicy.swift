/// How long a delivery waits before it tries again.
///
/// The wait before the n-th retry is drawn evenly from nothing up to `first · 2ⁿ⁻¹`, at most `cap`: "full jitter", which
/// keeps many clients from coming back in step (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
/// A destination that names a time (`Retry-After`, RFC 9110 §10.2.3) is not asked earlier: jitter never shortens that,
/// and only ``maxRetryAfter`` bounds it.
public struct RetryPolicy: Sendable, Hashable {
  /// The upper bound of the first wait.
  public var first: Duration
  /// The upper bound of every drawn wait.
  public var cap: Duration
  /// The most that a destination may ask for: it is tried again after this even if it asked for more.
  public var maxRetryAfter: Duration
  /// The wait after the destination refused us (a wrong key, a bucket that does not exist), which a person has to put
  /// right. Not drawn, not doubled.
  public var refusedWait: Duration
  /// In a delivery that runs until it has caught up: how long failures in a row may last. A try that could only begin
  /// later ends the delivery with an error. Nil, the default: for ever. A delivery that runs as a service never gives up.
  public var giveUpAfter: Duration?

  /// Up to 1 second at first, up to 2 minutes in the end; at most an hour for `Retry-After`; 5 minutes after a refusal;
  /// never gives up.
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

/// Failures in a row at one destination, and the wait that follows from them. Pure: chance comes in as a number.
package struct Backoff: Hashable, Sendable {
  package let policy: RetryPolicy
  /// Failures since the last success.
  package private(set) var failures = 0
  /// When the first of them was.
  package private(set) var failingSince: MonotonicInstant?

  package init(policy: RetryPolicy) { self.policy = policy }

  /// The most that the next wait may be drawn as.
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
  ///   - retryAfter: What the destination asked for.
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
