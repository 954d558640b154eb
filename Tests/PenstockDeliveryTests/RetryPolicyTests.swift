import PenstockDelivery
import PenstockTestKit
import Testing

@Suite("The circuit of a destination") struct CircuitTests {
  static let now = MonotonicInstant(sinceStart: .seconds(100))
  static let policy = CircuitPolicy(failures: 3, drain: 2, doubling: .seconds(5), full: 8)

  enum Move: CaseIterable {
    case failed, failedLate, refused, succeeded, succeededLate, waited, logFailed
  }

  static func apply(_ move: Move, to circuit: inout Circuit) {
    let round = circuit.round
    switch move {
    case .failed: _ = circuit.failed(round: round, at: now, retryAfter: nil, roll: 0)
    case .failedLate: _ = circuit.failed(round: round - 1, at: now, retryAfter: nil, roll: 0)
    case .refused: circuit.refused()
    case .succeeded: circuit.succeeded(round: round, at: now)
    case .succeededLate: circuit.succeeded(round: round - 1, at: now)
    case .waited: circuit.waited()
    case .logFailed: _ = circuit.failed(round: nil, at: now, retryAfter: nil, roll: 0)
    }
  }

  /// The table in the type's comment, checked over every sequence of eight moves.
  @Test func `goes only the ways it may, whatever happens in whatever order`() {
    struct Node: Hashable {
      var circuit: Circuit
      /// Counted here, apart from the circuit.
      var inRow = 0
    }
    var frontier: Set<Node> = [Node(circuit: Circuit(Self.policy, retry: RetryPolicy()))]
    var ways: Set<String> = []
    for _ in 1...8 {
      var next: Set<Node> = []
      for node in frontier {
        for move in Move.allCases {
          var after = node
          Self.apply(move, to: &after.circuit)
          switch move {
          case .failed, .logFailed: after.inRow += 1
          case .succeeded: after.inRow = 0
          default: break
          }
          let (from, to) = (node.circuit.state, after.circuit.state)
          let expected: CircuitState =
            switch (from, move) {
            case (_, .refused): .open
            case (.closed, .failed): after.inRow >= 3 ? .open : .closed
            case (_, .failed): .open
            case (_, .succeeded): .closed
            case (.open, .waited): .halfOpen
            default: from
            }
          #expect(to == expected, "\(move) on \(from) led to \(to)")
          ways.insert("\(from) \(move) \(to)")
          #expect(after.circuit.maxAttempts == (to == .closed ? nil : to == .open ? 0 : 1))
          let drains = to == .closed && (from != .closed || node.circuit.drainingSince != nil)
          #expect((after.circuit.drainingSince != nil) == drains)
          next.insert(after)
        }
      }
      frontier = next
    }
    #expect(ways.count == Move.allCases.count * 3 + 1, "\(ways.sorted())")
  }

  @Test func `after an outage attempts are spaced, closer and closer, until there is no limit`() {
    var circuit = Circuit(Self.policy, retry: RetryPolicy())
    #expect(circuit.spacing(at: Self.now) == nil)
    circuit.refused()
    circuit.waited()
    circuit.succeeded(round: circuit.round, at: Self.now)
    let spacings = [0, 4.9, 5, 10, 14, 15].map { circuit.spacing(at: Self.now + .seconds($0)) }
    #expect(spacings == [0.5, 0.5, 0.25, nil, nil, nil].map { $0.map { .seconds($0) } })
    var eager = Circuit(CircuitPolicy(drain: nil), retry: RetryPolicy())
    eager.refused()
    eager.succeeded(round: eager.round, at: Self.now)
    #expect(eager.state == .closed && eager.spacing(at: Self.now) == nil)
  }

  @Test
  func `attempts that were under way together and fail together count as one failure, and what each asks for counts`() {
    var circuit = Circuit(Self.policy, retry: RetryPolicy(first: .seconds(2)))
    let half = UInt64(1) << 63
    #expect(circuit.failed(round: 0, at: Self.now, retryAfter: nil, roll: half) == .seconds(1))
    #expect(circuit.failed(round: 0, at: Self.now, retryAfter: .seconds(40), roll: half) == .seconds(40))
    #expect(circuit.backoff.failures == 1)
    circuit.succeeded(round: 0, at: Self.now)
    #expect(circuit.backoff.failures == 1, "an attempt from before the failure says nothing")
    circuit.succeeded(round: 1, at: Self.now)
    #expect(circuit.backoff.failures == 0)
  }
}

@Suite("A rate limit") struct RateBudgetTests {
  let now = MonotonicInstant(sinceStart: .seconds(100))

  @Test func `lets an attempt pass and makes the next one wait for what it cost, by the strictest limit`() {
    var budget = RateBudget(DeliveryRate(recordsPerSecond: 10, bytesPerSecond: 100, requestsPerSecond: 4))
    #expect(budget.earliest == nil)
    budget.charge(records: 1, bytes: 1, at: now)
    #expect(budget.earliest == now + .milliseconds(250))
    budget.charge(records: 30, bytes: 100, at: now + .milliseconds(250))
    #expect(budget.earliest == now + .milliseconds(3250))
    budget.charge(records: 0, bytes: 5000, at: now + .seconds(60))
    #expect(budget.earliest == now + .seconds(110), "idle time is not saved up")
  }

  @Test func `attempts that begin together are charged one after the other`() {
    var budget = RateBudget(DeliveryRate(recordsPerSecond: 10))
    for _ in 0..<3 { budget.charge(records: 10, bytes: 1, at: now) }
    #expect(budget.earliest == now + .seconds(3))
  }

  @Test(arguments: [1, 7, 400])
  func `over a long time sends as much as it says`(records: Int) {
    var budget = RateBudget(DeliveryRate(recordsPerSecond: 50))
    var moment = now
    for _ in 0..<1000 {
      moment = max(moment, budget.earliest ?? moment)
      budget.charge(records: records, bytes: 1, at: moment)
    }
    let seconds = (moment - now) / .seconds(1)
    #expect(abs(Double(999 * records) / seconds - 50) < 0.01)
  }

  @Test(arguments: 0..<50 as Range<UInt64>)
  func `never lets more pass than rate · time and one attempt, whatever is asked and whenever`(seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    let rate = Double(1 + generator.below(5000)) / 10
    var budget = RateBudget(DeliveryRate(recordsPerSecond: rate, requestsPerSecond: 40))
    var (moment, history) = (now, [(at: MonotonicInstant, count: Int)]())
    for _ in 0..<200 {
      moment = max(moment, budget.earliest ?? moment) + .milliseconds(generator.below(300))
      let count = 1 + generator.below(1000)
      budget.charge(records: count, bytes: 0, at: moment)
      history.append((moment, count))
    }
    for start in history.indices {
      var before = 0
      for entry in history[start...] {
        let seconds = (entry.at - history[start].at) / .seconds(1)
        #expect(Double(before) <= rate * seconds + 1e-6, "seed \(seed)")
        before += entry.count
      }
    }
  }

  @Test func `that does not exist costs nothing, and one of nothing at all waits a day`() {
    var free = RateBudget(DeliveryRate())
    free.charge(records: 1_000_000, bytes: 1, at: now)
    #expect(free.earliest == nil)
    var none = RateBudget(DeliveryRate(requestsPerSecond: 0))
    none.charge(records: 1, bytes: 1, at: now)
    #expect(none.earliest == now + .seconds(86_400))
  }
}

@Suite("How long a delivery waits before it tries again") struct RetryPolicyTests {
  let now = MonotonicInstant(sinceStart: .seconds(50))
  let half = UInt64(1) << 63

  @Test func `the bound doubles from the first to the cap`() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(10)))
    let waits = (1...6).map { _ in backoff.failed(at: now, retryAfter: nil, roll: half) }
    #expect(waits == [0.5, 1, 2, 4, 5, 5].map { Duration.seconds($0) })
  }

  @Test func `a thousand failures neither overflow nor pass the cap`() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(1 << 40)))
    for _ in 1...1000 {
      let wait = backoff.failed(at: now, retryAfter: nil, roll: .max)
      #expect(wait >= .zero && wait <= .seconds(1 << 40))
    }
    #expect(backoff.ceiling == .seconds(1 << 40))
  }

  @Test func `the jitter is full: the wait may be anything from nothing up to the bound`() {
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

  @Test func `what the destination asks for is not shortened by jitter, has a limit, and shortens no backoff`() {
    for roll in [0, half, .max] {
      var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), cap: .seconds(2)))
      #expect(backoff.failed(at: now, retryAfter: .seconds(30), roll: roll) == .seconds(30))
    }
    var limited = Backoff(policy: RetryPolicy(maxRetryAfter: .seconds(60)))
    #expect(limited.failed(at: now, retryAfter: .seconds(1_000_000), roll: 0) == .seconds(60))
    var short = Backoff(policy: RetryPolicy(first: .seconds(8)))
    #expect(short.failed(at: now, retryAfter: .seconds(1), roll: half) == .seconds(4))
  }

  @Test func `success starts the series over`() {
    var backoff = Backoff(policy: RetryPolicy(first: .seconds(1), giveUpAfter: .seconds(10)))
    for _ in 1...5 { _ = backoff.failed(at: now, retryAfter: nil, roll: 0) }
    #expect(backoff.isTooLate(now + .seconds(11)) && !backoff.isTooLate(now + .seconds(10)))
    backoff.succeeded()
    #expect(!backoff.isTooLate(now + .seconds(11)))
    #expect(backoff.failed(at: now, retryAfter: nil, roll: half) == .milliseconds(500))
  }
}
