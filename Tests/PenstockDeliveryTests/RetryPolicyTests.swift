import PenstockDelivery
import PenstockTestKit
import Testing

@Suite("How long a delivery waits before it tries again")
struct RetryPolicyTests {
  let now = MonotonicInstant(sinceStart: .seconds(50))
  let half = UInt64(1) << 63

  @Test("the bound doubles from the first to the cap")
  func doubling() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(10)))
    let waits = (1...6).map { _ in backoff.failed(at: now, retryAfter: nil, roll: half) }
    #expect(waits == [0.5, 1, 2, 4, 5, 5].map { Duration.seconds($0) })
  }

  @Test("a thousand failures neither overflow nor pass the cap")
  func manyFailures() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(1 << 40)))
    for _ in 1...1000 {
      let wait = backoff.failed(at: now, retryAfter: nil, roll: .max)
      #expect(wait >= .zero && wait <= .seconds(1 << 40))
    }
    #expect(backoff.ceiling == .seconds(1 << 40))
  }

  @Test("the jitter is full: the wait may be anything from nothing up to the bound")
  func jitter() {
    var generator = SplitMix64(seed: 1)
    var shares = [0, 0, 0, 0]
    for _ in 1...4000 {
      var backoff = Backoff(policy: RetryPolicy(first: .seconds(4)))
      let wait = backoff.failed(at: now, retryAfter: nil, roll: generator.next())
      #expect(wait < .seconds(4))
      shares[Int(wait / .seconds(1))] += 1
    }
    #expect(shares.allSatisfy { $0 > 900 && $0 < 1100 })
  }

  @Test("what the destination asks for is never shortened by jitter")
  func retryAfter() {
    for roll in [0, half, .max] {
      var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(2)))
      #expect(backoff.failed(at: now, retryAfter: .seconds(30), roll: roll) == .seconds(30))
    }
  }

  @Test("what the destination asks for has a limit")
  func retryAfterLimit() {
    var backoff = Backoff(policy: RetryPolicy(maxRetryAfter: .seconds(60)))
    #expect(backoff.failed(at: now, retryAfter: .seconds(1_000_000), roll: 0) == .seconds(60))
  }

  @Test("a short Retry-After does not shorten the backoff")
  func shortRetryAfter() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(8)))
    #expect(backoff.failed(at: now, retryAfter: .seconds(1), roll: half) == .seconds(4))
  }

  @Test("success begins the series anew")
  func success() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), giveUpAfter: .seconds(10)))
    for _ in 1...5 { _ = backoff.failed(at: now, retryAfter: nil, roll: 0) }
    #expect(backoff.isTooLate(now + .seconds(11)) && !backoff.isTooLate(now + .seconds(10)))
    backoff.succeeded()
    #expect(!backoff.isTooLate(now + .seconds(11)))
    #expect(backoff.failed(at: now, retryAfter: nil, roll: half) == .milliseconds(500))
  }
}
