package import PenstockLog

/// How many keys an ``IdempotentAppender`` remembers, and for how long.
package struct IdempotencyOptions: Sendable {
  /// The number of concurrent keyed appends. They share blocks and syncs, so a larger number would gain little.
  package static let standardProducers = 64

  /// The largest number of remembered keys.
  package let capacity: Int
  /// How long a key is remembered, in seconds.
  package let window: Int64
  /// The size of the pool. With fewer than at the last start, keys that only a dropped producer knows are lost.
  package let producers: Int
  /// The wait before the next attempt when the journal's disk is full or the journal cannot be opened.
  package let retryInterval: Duration
  /// Decides when keys are forgotten. The machine's clock is checked against a monotonic clock, so that one wrong
  /// reading forgets nothing. Any other clock is used unchecked, unless `pace` is given.
  package let clock: any WallClock
  /// Checks the clock; nil: only the machine's clock is checked.
  package let pace: (any MonotonicClock)?

  package init(
    capacity: Int, window: Int64, producers: Int = standardProducers, retryInterval: Duration = .seconds(1),
    clock: any WallClock = SystemWallClock(), pace: (any MonotonicClock)? = nil
  ) {
    self.capacity = capacity
    self.window = window
    self.producers = producers
    self.retryInterval = retryInterval
    self.clock = clock
    self.pace = pace
  }
}
