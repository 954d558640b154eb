@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Who waits for a log's lock, and for whom.
@Suite struct LockRetryPolicyTests {
  private let log = TestLog()
  private let paths = TestLog.paths

  @Test func `a writer is waited for a moment, a recovery for long`() {
    #expect(LockRetryPolicy.isWorthwhile(0, .writer) && !LockRetryPolicy.isWorthwhile(20, .writer))
    #expect(LockRetryPolicy.isWorthwhile(20, .recovery) && !LockRetryPolicy.isWorthwhile(500, .recovery))
    #expect(LockRetryPolicy.pause * LockRetryPolicy.attempts == .seconds(10))
  }

  @Test func `a writer that starts while another process recovers waits until that has ended`() async throws {
    try log.openWriter().commit(record(1))
    let found = log.killed()
    let held = Mutex<OpenFile?>(try LogDirectory.lock(found.disk, paths, as: .recovery))
    let disk = GatedFileSystem(found.disk) { refusals in
      // Longer than a writer would be waited for.
      if refusals == LockRetryPolicy.attemptsForWriter + 3 { held.withLock { $0 = nil } }
    }
    let opened = try await found.open(on: disk)
    #expect(opened.end == Offset(1))
    #expect(disk.refusals.withLock { $0 } == LockRetryPolicy.attemptsForWriter + 3)
    #expect(LogDirectory.holder(found.disk, paths) == .writer)
    try await opened.close()
  }

  @Test func `a recovery that is killed leaves no writer waiting`() throws {
    _ = try LogOpening.open(TestLog.path, log.configuration, log.environment(), as: .recovery)
    #expect(LogDirectory.holder(log.disk, paths) == .recovery)
    let found = log.killed()
    let writer = try found.openWriter()
    #expect(LogDirectory.holder(found.disk, paths) == .writer)
    let refusal = #expect(throws: LogError.self) { try found.openWriter() }
    #expect(refusal?.code == .locked && refusal?.message.contains("is writing this log") == true)
    try writer.close()
    let recovery = try LogDirectory.lock(found.disk, paths, as: .recovery)
    let second = #expect(throws: LogError.self) { try found.openWriter() }
    #expect(second?.code == .locked && second?.message.contains("try again in a moment") == true)
    withExtendedLifetime(recovery) {}
  }
}
