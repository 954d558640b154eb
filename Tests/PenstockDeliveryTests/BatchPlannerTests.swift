import PenstockDelivery
import PenstockLog
import Testing

@Suite("When a batch is closed")
struct BatchPlannerTests {
  let start = MonotonicInstant(sinceStart: .seconds(1000))
  let noon = Timestamp(nanoseconds: 1_767_268_800_000_000_000)
  let policy = BatchPolicy(maxRecords: 10, maxBytes: 100, maxWait: .seconds(5))

  func open(records: Int, bytes: Int, policy: BatchPolicy? = nil) -> PendingBatch {
    var open = PendingBatch(first: Offset(7))
    guard records > 0 else { return open }
    _ = open.add(
      upTo: Offset(7) + records, bytes: bytes, appendTime: noon, since: start, policy ?? self.policy)
    return open
  }

  func decide(
    _ open: PendingBatch, after wait: Duration = .zero, partial: Bool = false, policy: BatchPolicy? = nil,
    timeOfDay: Timestamp? = nil
  ) -> BatchDecision {
    BatchPlanner(policy: policy ?? self.policy, takesPartialBatches: partial)
      .decide(open, now: start + wait, timeOfDay: timeOfDay ?? noon)
  }

  @Test("without a record it waits without a deadline, also when it takes partial batches")
  func empty() {
    #expect(decide(open(records: 0, bytes: 0)) == .wait(until: nil))
    #expect(decide(open(records: 0, bytes: 0), after: .seconds(100), partial: true) == .wait(until: nil))
  }

  @Test("at the limit of records, and not one before")
  func records() {
    #expect(decide(open(records: 9, bytes: 9)) == .wait(until: start + .seconds(5)))
    #expect(decide(open(records: 10, bytes: 9)) == .take(.records))
  }

  @Test("at the limit of bytes, and not one before")
  func bytes() {
    #expect(decide(open(records: 2, bytes: 99)) == .wait(until: start + .seconds(5)))
    #expect(decide(open(records: 2, bytes: 100)) == .take(.bytes))
  }

  @Test("before a record that would pass the limit of bytes")
  func byNextRecord() {
    var open = open(records: 2, bytes: 60)
    let isIn = open.add(upTo: Offset(10), bytes: 41, appendTime: noon, since: start, policy)
    #expect(!isIn)
    #expect(open.range == Offset(7)..<Offset(9) && open.bytes == 60)
    #expect(decide(open) == .take(.bytes))
  }

  @Test("a record larger than the limit is a batch by itself")
  func oversize() {
    let open = open(records: 1, bytes: 5000)
    #expect(open.count == 1)
    #expect(decide(open) == .take(.bytes))
  }

  @Test("when its first record has waited long enough; later records do not start the wait again")
  func age() {
    var open = open(records: 1, bytes: 1)
    let isIn = open.add(upTo: Offset(9), bytes: 1, appendTime: noon, since: start + .seconds(4), policy)
    #expect(isIn)
    #expect(decide(open, after: .milliseconds(4999)) == .wait(until: start + .seconds(5)))
    #expect(decide(open, after: .seconds(5)) == .take(.age))
  }

  @Test("at once when partial batches are taken")
  func caughtUp() {
    #expect(decide(open(records: 1, bytes: 1), partial: true) == .take(.caughtUp))
    #expect(decide(open(records: 10, bytes: 1), partial: true) == .take(.records))
  }

  @Test("at the full hour, even if its first record has not waited long", arguments: [true, false])
  func boundary(isPassed: Bool) {
    var hourly = policy
    hourly.boundary = .seconds(3600)
    hourly.maxWait = .seconds(86400)
    let open = open(records: 1, bytes: 1, policy: hourly)
    let next = noon.nanoseconds + 3_600_000_000_000
    let now = Timestamp(nanoseconds: isPassed ? next : next - 2_000_000_000)
    let decision = decide(open, after: .seconds(10), policy: hourly, timeOfDay: now)
    #expect(decision == (isPassed ? .take(.boundary) : .wait(until: start + .seconds(12))))
  }

  @Test("a boundary works for times before 1970 and at the end of time")
  func boundaryAtTheEdges() {
    var hourly = policy
    hourly.boundary = .seconds(3600)
    let planner = BatchPlanner(policy: hourly, takesPartialBatches: false)
    var early = PendingBatch(first: .zero)
    _ = early.add(upTo: Offset(1), bytes: 1, appendTime: Timestamp(nanoseconds: -1), since: start, hourly)
    #expect(planner.decide(early, now: start, timeOfDay: Timestamp(nanoseconds: 0)) == .take(.boundary))
    var late = PendingBatch(first: .zero)
    _ = late.add(upTo: Offset(1), bytes: 1, appendTime: Timestamp(nanoseconds: .max), since: start, hourly)
    let decision = planner.decide(late, now: start, timeOfDay: Timestamp(nanoseconds: .max))
    #expect(decision == .wait(until: start + .seconds(5)))
  }

  @Test("limits below one are taken as one")
  func nonsense() {
    let policy = BatchPolicy(maxRecords: 0, maxBytes: -3, maxWait: .seconds(-1))
    #expect(policy.maxRecords == 1 && policy.maxBytes == 1 && policy.maxWait == .zero)
  }
}
