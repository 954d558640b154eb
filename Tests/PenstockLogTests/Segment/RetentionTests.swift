@testable import PenstockLog
import Testing

/// The decision alone, over every small log.
@Suite struct RetentionTests {
  private static let policies: [RetentionPolicy] = {
    var policies: [RetentionPolicy] = []
    for age in [nil, 1, 2] as [Int?] {
      for bytes in [nil, 0, 2, 5] as [Int?] {
        for cap in [nil, 2, 6] as [Int?] {
          policies.append(
            RetentionPolicy(maxAge: age.map { .nanoseconds($0) }, maxBytes: bytes, hardCapBytes: cap))
        }
      }
    }
    return policies
  }()

  /// Segments of three records; sizes and the time between them by `shape`.
  private static func segments(_ count: Int, shape: Int) -> [Retention.SegmentInput] {
    (0..<count).map { index in
      let name = SegmentName(sequence: UInt64(index + 5), baseOffset: Offset(UInt64(10 + index * 3)))
      return Retention.SegmentInput(
        name: name, end: name.baseOffset + 3, bytes: UInt64([2, 1 + index % 3, 3 - index % 3][shape]),
        newestAppend: Timestamp(nanoseconds: Int64([index, index / 2, index * 2][shape])))
    }
  }

  @Test func `every small log loses exactly what its policy says and its cursors allow`() {
    var tried = 0
    let places = (9...23).map { UInt64($0) }
    for count in 0...4 {
      for shape in 0..<3 {
        let segments = Self.segments(count, shape: shape)
        for policy in Self.policies {
          for one in places {
            for (other, canBePassed) in [(one, true), (16, true), (16, false), (19, false)] {
              let cursors = [
                Retention.CursorInput(name: "a", holds: Offset(one)),
                Retention.CursorInput(name: "b", holds: Offset(other), canBePassed: canBePassed),
              ]
              if let wrong = Self.wrong(policy, segments, cursors) {
                Issue.record("\(policy) \(segments) \(cursors): \(wrong)")
              }
              tried += 1
            }
          }
          if let wrong = Self.wrong(policy, segments, []) { Issue.record("\(policy) \(segments): \(wrong)") }
        }
      }
    }
    #expect(tried > 10_000)
  }

  @Test func `neither a wrong append time nor a wrong clock alone makes a segment old`() {
    let day: Int64 = 86_400_000_000_000
    let policy = RetentionPolicy(maxAge: .seconds(7 * 86_400))
    /// Segments whose newest records were appended on these days.
    func dropped(_ days: [Int64], now: Int64, clock: Int64) -> Int {
      let segments = days.enumerated().map { index, time in
        let name = SegmentName(sequence: UInt64(index + 1), baseOffset: Offset(UInt64(index)))
        return Retention.SegmentInput(
          name: name, end: name.baseOffset + 1, bytes: 1, newestAppend: Timestamp(nanoseconds: time * day))
      }
      return Retention(policy).plan(
        segments, [], now: Timestamp(nanoseconds: now * day), clock: Timestamp(nanoseconds: clock * day)
      ).count
    }
    #expect(dropped([0, 5, 9, 10], now: 10, clock: 10) == 1)
    // The newest record says ten years later, the clock does not.
    #expect(dropped([0, 5, 9, 3650], now: 3650, clock: 10) == 1)
    // The clock says ten years later, the newest record does not.
    #expect(dropped([0, 5, 9, 10], now: 10, clock: 3650) == 1)
    // Records from ahead of the clock are as old as the newest of them say.
    #expect(dropped([0, 3650, 3655, 3660], now: 3660, clock: 20) == 2)
    #expect(dropped([3650, 3655, 3656], now: 3656, clock: 20) == 0)
  }

  /// Judged count by count, without the shortcuts of the decision.
  private static func wrong(
    _ policy: RetentionPolicy, _ segments: [Retention.SegmentInput], _ cursors: [Retention.CursorInput]
  ) -> String? {
    let now = segments.last?.newestAppend ?? Timestamp(nanoseconds: 0)
    let plan = Retention(policy).plan(segments, cursors, now: now)
    /// Whether the segment at `index` must or may go, given that all before it went.
    func goes(_ index: Int) -> Bool {
      guard index + 1 < segments.count else { return false }
      let left = segments[index...].reduce(0) { $0 + Int($1.bytes) }
      let age = Duration.nanoseconds(now.nanoseconds - segments[index].newestAppend.nanoseconds)
      let isOld = policy.maxAge.map { age > $0 } ?? false
      let isTooMuch = policy.maxBytes.map { left > $0 } ?? false
      let isOverCap = policy.hardCapBytes.map { left > $0 } ?? false
      let needing = cursors.filter { $0.holds < segments[index].end }
      if isOverCap, needing.allSatisfy(\.canBePassed) { return true }
      return needing.isEmpty && (isOld || isTooMuch || isOverCap)
    }
    var expected = 0
    while goes(expected) { expected += 1 }
    if plan.count != expected { return "\(plan.count) go, it should be \(expected)" }
    let start = expected > 0 ? segments[expected - 1].end : Offset.zero
    let passes = cursors.filter { $0.holds < start }
    if plan.passes != passes.map(\.name) { return "passes \(plan.passes)" }
    if passes.contains(where: { !$0.canBePassed }) { return "passes one that cannot be told" }
    if policy.hardCapBytes == nil, !passes.isEmpty { return "passes a cursor without a hard cap" }
    if (plan.held > 0) != !plan.heldBy.isEmpty { return "held \(plan.held) by \(plan.heldBy)" }
    return nil
  }

  @Test func `the newest segment is never removed, whatever it costs`() {
    let policy = RetentionPolicy(maxAge: .nanoseconds(1), maxBytes: 0, hardCapBytes: 0)
    for count in 0...5 {
      let plan = Retention(policy).plan(Self.segments(count, shape: 2), [], now: Timestamp(nanoseconds: .max))
      #expect(plan.count == max(0, count - 1))
    }
  }

  @Test func `segments that recovery would ask about producers stay, whatever it costs`() {
    let policy = RetentionPolicy(maxAge: .nanoseconds(1), maxBytes: 0, hardCapBytes: 0)
    let segments = Self.segments(4, shape: 0)
    for place in 9...23 {
      let snapshotEnd = Offset(UInt64(place))
      let plan = Retention(policy).plan(segments, [], now: Timestamp(nanoseconds: .max), snapshotEnd: snapshotEnd)
      #expect(plan.count == min(3, segments.filter { $0.end <= snapshotEnd }.count) && plan.held == 0)
    }
  }

  @Test func `a clock that is not known, or at the end of time, makes nothing old`() {
    let policy = RetentionPolicy(maxAge: .seconds(1))
    let segments = Self.segments(3, shape: 0)
    #expect(Retention(policy).plan(segments, [], now: Timestamp(nanoseconds: .min)).count == 0)
    let ages = RetentionPolicy(maxAge: .seconds(Int64.max))
    #expect(Retention(ages).plan(segments, [], now: Timestamp(nanoseconds: 0)).count == 0)
    #expect(Retention(policy).plan(segments, [], now: Timestamp(nanoseconds: 2_000_000_000)).count == 2)
  }

  @Test func `a policy is refused by the name of its knob`() {
    func complaint(_ policy: RetentionPolicy) -> String {
      var test = TestLog()
      test.configuration.retention = policy
      do throws(LogError) { _ = try test.openWriter() } catch {
        #expect(error.code == .invalidConfiguration)
        return error.message
      }
      return ""
    }
    let segment = TestLog().configuration.segmentBytes
    #expect(complaint(RetentionPolicy(maxAge: .zero)).hasPrefix("retention.maxAge"))
    #expect(complaint(RetentionPolicy(maxBytes: segment - 1)).hasPrefix("retention.maxBytes"))
    #expect(complaint(RetentionPolicy(hardCapBytes: segment - 1)).hasPrefix("retention.hardCapBytes"))
    let crossed = RetentionPolicy(maxBytes: segment + 1, hardCapBytes: segment)
    #expect(complaint(crossed).hasPrefix("retention.hardCapBytes"))
    #expect(complaint(RetentionPolicy(maxAge: .nanoseconds(1), maxBytes: segment, hardCapBytes: segment)) == "")
  }
}
