@testable import PenstockLog
import PenstockTestKit
import Testing

/// Who is told what of a sync: the line alone, over every short history, and a log on a full disk.
@Suite(.timeLimit(.minutes(1))) struct SyncWaitersTests {
  private static let full = LogError(.noSpace, "no room")

  @Test func `a sync waits for what was accepted before it, and for nothing later`() {
    var line = SyncWaiters<String>()
    for (target, name) in [(5, "a"), (8, "b"), (8, "c")] as [(UInt64, String)] {
      let refusal = line.wait(for: Offset(target), name)
      #expect(refusal == nil)
    }
    #expect(!line.isDue(writtenUpTo: Offset(4)) && line.isDue(writtenUpTo: Offset(5)))
    let due = [line.due(writtenUpTo: Offset(7)), line.due(writtenUpTo: Offset(7))]
    #expect(due == [["a"], []])
    let refusal = line.wait(for: Offset(9), "d")
    #expect(refusal == nil)
    let lost = line.lost(from: Offset(8), upTo: Offset(9), because: Self.full, isSilent: true)
    #expect(lost == ["d"])
    line.shrink(to: Offset(7))
    let rest = line.due(writtenUpTo: Offset(7))
    #expect(rest == ["b", "c"])
    let none = line.all()
    #expect(none.isEmpty)
  }

  private enum Call: CaseIterable {
    /// A caller that does not wait hands in a record.
    case accept
    /// A caller that waits hands one in, and is told of its fate by the queue.
    case append
    case sync
    /// All that was accepted is written and synced.
    case write
    /// The disk is full: all that was accepted and not written is lost.
    case lose
  }

  /// What a log of one queue and this line does.
  private struct World {
    var line = SyncWaiters<Int>()
    var accepted: UInt64 = 0
    var written: UInt64 = 0
    /// Whether callers that do not wait wrote some of what is queued.
    var isSilent = false
    /// What each sync was told: true for success, nil while it waits.
    var answers: [Bool?] = []
    var targets: [UInt64] = []
    /// The syncs that must fail because of a loss that no waiting one was told of in full.
    var mustFail: Set<Int> = []
    var losses = 0
    /// Whether one caller called while another waited for a sync.
    var isCrowded = false

    mutating func make(_ call: Call) {
      if call != .write, call != .lose { isCrowded = isCrowded || answers.contains { $0 == nil } }
      switch call {
      case .accept: (accepted, isSilent) = (accepted + 1, true)
      case .append: accepted += 1
      case .sync:
        targets.append(accepted)
        let isRefused = line.wait(for: Offset(accepted), answers.count) != nil
        answers.append(isRefused ? false : nil)
      case .write: (written, isSilent) = (accepted, false)
      case .lose:
        guard accepted > written else { return }
        losses += 1
        let isToldInFull = answers.indices.contains { answers[$0] == nil && targets[$0] == accepted }
        if isSilent, !isToldInFull { mustFail.insert(answers.count) }
        let lost = line.lost(
          from: Offset(written), upTo: Offset(accepted), because: SyncWaitersTests.full, isSilent: isSilent)
        for sync in lost { answers[sync] = false }
        (accepted, isSilent) = (written, false)
      }
      for sync in line.due(writtenUpTo: Offset(written)) { answers[sync] = true }
    }

    var flaw: String? {
      for sync in mustFail where sync < answers.count && answers[sync] != false { return "a loss passed in silence" }
      if !isCrowded, answers.count(where: { $0 == false }) > losses { return "a loss was told twice" }
      return nil
    }
  }

  @Test func `no loss of accepted records passes a sync in silence, and a single caller gets it once`() {
    let tried = explore(World(), Call.allCases, upTo: 7) { world, call in
      world.make(call)
      return world.flaw ?? ""
    }
    #expect(tried > 90_000)
  }

  /// A log on a full disk that has dropped a record whose caller did not wait.
  private func dropped() async throws -> (TestLog, Log) {
    let (test, log) = try await TestLog.opened()
    test.disk.capacityBytes = 0
    for number in 0..<14 { try await log.append(batch([record(number)])) }
    try log.appendWithoutWaiting(batch([record(14)]))
    // One that waits, behind it: it is told, and so the one before is gone.
    #expect(await code { try await log.append(batch([record(15)])) } == .noSpace)
    #expect(log.end == Offset(14))
    return (test, log)
  }

  @Test func `a sync tells of accepted records that a full disk dropped just before, once`() async throws {
    let (test, log) = try await dropped()
    #expect(await code { try await log.sync() } == .noSpace)
    #expect(await code { try await log.sync() } == nil)
    test.disk.capacityBytes = nil
    try log.appendWithoutWaiting(batch([record(14)]))
    try await log.sync()
    #expect(try Reading(log.view).inOrder == records(0..<15))
    try await log.close()
  }

  @Test func `closing a log tells of accepted records that a full disk dropped`() async throws {
    let (test, log) = try await dropped()
    #expect(await code { try await log.close() } == .noSpace)
    #expect(try Reading(test.killed().openWriter().view).inOrder == records(0..<14))
    // Still queued when the log is closed.
    let again = TestLog()
    let other = try await again.open()
    again.disk.capacityBytes = 0
    for number in 0..<14 { try await other.append(batch([record(number)])) }
    try other.appendWithoutWaiting(batch([record(14)]))
    #expect(await code { try await other.close() } == .noSpace)
  }
}
