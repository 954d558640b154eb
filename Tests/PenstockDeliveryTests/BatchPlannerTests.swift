import PenstockDelivery
import PenstockLog
import Testing

@Suite("When a batch is closed") struct BatchPlannerTests {
  let start = MonotonicInstant(sinceStart: .seconds(1000))
  let noon = Timestamp(nanoseconds: 1_767_268_800_000_000_000)
  let policy = BatchPolicy(maxRecords: 10, maxBytes: 100, maxWait: .seconds(5))

  func open(records: Int, bytes: Int, policy: BatchPolicy? = nil) -> PendingBatch {
    var open = PendingBatch(first: Offset(7))
    guard records > 0 else { return open }
    _ = open.add(upTo: Offset(7) + records, bytes: bytes, appendTime: noon, since: start, policy ?? self.policy)
    return open
  }

  func decide(
    _ open: PendingBatch, after wait: Duration = .zero, partial: Bool = false, policy: BatchPolicy? = nil,
    timeOfDay: Timestamp? = nil
  ) -> BatchDecision {
    BatchPlanner(policy: policy ?? self.policy, takesPartialBatches: partial)
      .decide(open, now: start + wait, timeOfDay: timeOfDay ?? noon)
  }

  @Test func `without a record it waits without a deadline, also when it takes partial batches`() {
    #expect(decide(open(records: 0, bytes: 0)) == .wait(until: nil))
    #expect(decide(open(records: 0, bytes: 0), after: .seconds(100), partial: true) == .wait(until: nil))
  }

  @Test(arguments: [(9, 9, nil), (10, 9, .records), (2, 99, nil), (2, 100, .bytes)] as [(Int, Int, CloseReason?)])
  func `at the limit of records or bytes, and not one before`(records: Int, bytes: Int, reason: CloseReason?) {
    #expect(
      decide(open(records: records, bytes: bytes)) == reason.map { .take($0) } ?? .wait(until: start + .seconds(5)))
  }

  @Test func `before a record that would pass the limit of bytes`() {
    var open = open(records: 2, bytes: 60)
    let isIn = open.add(upTo: Offset(10), bytes: 41, appendTime: noon, since: start, policy)
    #expect(!isIn)
    #expect(open.range == Offset(7)..<Offset(9) && open.bytes == 60)
    #expect(decide(open) == .take(.bytes))
  }

  @Test func `a record larger than the limit is a batch by itself`() {
    let open = open(records: 1, bytes: 5000)
    #expect(open.count == 1)
    #expect(decide(open) == .take(.bytes))
  }

  @Test func `when its first record has waited long enough; later records do not start the wait again`() {
    var open = open(records: 1, bytes: 1)
    let isIn = open.add(upTo: Offset(9), bytes: 1, appendTime: noon, since: start + .seconds(4), policy)
    #expect(isIn)
    #expect(decide(open, after: .milliseconds(4999)) == .wait(until: start + .seconds(5)))
    #expect(decide(open, after: .seconds(5)) == .take(.age))
  }

  @Test func `at once when partial batches are taken`() {
    #expect(decide(open(records: 1, bytes: 1), partial: true) == .take(.caughtUp))
    #expect(decide(open(records: 10, bytes: 1), partial: true) == .take(.records))
  }

  @Test(arguments: [true, false])
  func `at the full hour, even if its first record has not waited long`(isPassed: Bool) {
    var hourly = policy
    hourly.boundary = .seconds(3600)
    hourly.maxWait = .seconds(86400)
    let open = open(records: 1, bytes: 1, policy: hourly)
    let next = noon.nanoseconds + 3_600_000_000_000
    let now = Timestamp(nanoseconds: isPassed ? next : next - 2_000_000_000)
    let decision = decide(open, after: .seconds(10), policy: hourly, timeOfDay: now)
    #expect(decision == (isPassed ? .take(.boundary) : .wait(until: start + .seconds(12))))
  }

  @Test func `a boundary works for times before 1970 and at the end of time`() {
    var hourly = policy
    hourly.boundary = .seconds(3600)
    func decision(appended: Int64, now: Int64) -> BatchDecision {
      var open = PendingBatch(first: .zero)
      _ = open.add(upTo: Offset(1), bytes: 1, appendTime: Timestamp(nanoseconds: appended), since: start, hourly)
      return decide(open, policy: hourly, timeOfDay: Timestamp(nanoseconds: now))
    }
    #expect(decision(appended: -1, now: 0) == .take(.boundary))
    #expect(decision(appended: .max, now: .max) == .wait(until: start + .seconds(5)))
  }

  @Test func `limits below one are taken as one`() {
    let policy = BatchPolicy(maxRecords: 0, maxBytes: -3, maxWait: .seconds(-1))
    #expect(policy.maxRecords == 1 && policy.maxBytes == 1 && policy.maxWait == .zero)
  }

  @Test func `records that are not selected count toward no limit, and its first event starts the wait`() {
    var open = PendingBatch(first: Offset(7))
    var isIn = open.skip(upTo: Offset(5_000), appendTime: noon, since: start)
    #expect(isIn && decide(open, after: .seconds(60)) == .wait(until: start + .seconds(3600)))
    isIn = open.add(upTo: Offset(5_001), bytes: 1, appendTime: noon, since: start + .seconds(100), policy)
    #expect(isIn && open.events == 1 && open.count == 4_994)
    #expect(decide(open, after: .seconds(104)) == .wait(until: start + .seconds(105)))
    isIn = open.skip(upTo: Offset(6_000), appendTime: noon, since: start + .seconds(101))
    #expect(isIn && decide(open, after: .seconds(105)) == .take(.age) && open.range == Offset(7)..<Offset(6_000))
  }

  @Test func `a range without an event ends after an hour of append time, or when its first record is an hour old`() {
    let hour = Timestamp(nanoseconds: noon.nanoseconds + 3_600_000_000_000)
    for (time, isFull) in [(Timestamp(nanoseconds: hour.nanoseconds - 1), false), (hour, true)] {
      for hasEvent in [false, true] {
        var open = PendingBatch(first: Offset(7))
        _ = open.skip(upTo: Offset(8), appendTime: noon, since: start)
        if hasEvent { _ = open.add(upTo: Offset(9), bytes: 1, appendTime: noon, since: start, policy) }
        _ = open.skip(upTo: Offset(10), appendTime: time, since: start)
        #expect(open.fullBy == (isFull && !hasEvent ? .range : nil))
      }
    }
    var open = PendingBatch(first: Offset(7))
    _ = open.skip(upTo: Offset(8), appendTime: noon, since: start)
    #expect(decide(open, after: .seconds(3600)) == .take(.range) && decide(open, partial: true) == .take(.caughtUp))
  }

  @Test func `at most 1,048,576 records of a range are not selected`() {
    let (before, end) = (Offset(1_048_576), Offset(1_048_577))
    var open = PendingBatch(first: .zero)
    _ = open.add(upTo: Offset(1), bytes: 1, appendTime: noon, since: start, policy)
    _ = open.skip(upTo: before, appendTime: noon, since: start)
    #expect(open.fullBy == nil && open.skipped == 1_048_575)
    _ = open.skip(upTo: end, appendTime: noon, since: start)
    let isIn = open.skip(upTo: end + 5, appendTime: noon, since: start)
    #expect(decide(open) == .take(.range))
    #expect(!isIn && open.end == end)
  }
}
