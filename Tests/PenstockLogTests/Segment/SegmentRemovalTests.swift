import Foundation
import PenstockDelivery
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockLog

@Suite("Removing the files that retention drops", .timeLimit(.minutes(1))) struct SegmentRemovalTests {
  private static let one = 64 << 10

  /// A log of five segments and a cursor at its beginning. Retention may remove all but the newest.
  private func rolled() async throws -> TestLog {
    var test = TestLog()
    let log = try await test.open()
    try await test.append(to: log, segments: 5, step: 1)
    _ = try await log.cursor(named: "holder", startingAt: .beginning)
    try await log.close()
    test.configuration.retention = RetentionPolicy(maxBytes: Self.one, hardCapBytes: Self.one)
    return test
  }

  private static func threadName() -> String {
    let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
    return name?.trimmingCharacters(in: .newlines) ?? "?"
  }

  /// Remembers for how long it was to sleep.
  private final class Pauses: MonotonicClock {
    let all = Mutex<[Int64]>([])
    func now() -> Int64 { 0 }
    func sleep(nanoseconds: Int64) { all.withLock { $0.append(nanoseconds) } }
  }

  @Test func `moves of cursors wait for no file`() async throws {
    var test = try await rolled()
    test.configuration.retention = RetentionPolicy(maxBytes: Self.one)
    let gate = GatedFileSystem(test.disk)
    let log = try await test.open(on: gate)
    let holder = try await log.cursor(named: "holder")
    let other = try await log.cursor(named: "other", startingAt: .end)
    try await holder.seek(to: .end)
    let (reached, go) = (AsyncCondition(""), DispatchSemaphore(value: 0))
    gate.once(before: "remove") {
      reached.update { $0 = Self.threadName() }
      // On the thread that moves cursors, this wait would never end.
      if reached.value == "penstock-remove" { go.wait() }
    }
    let removal = Task { try await log.trim() }
    _ = await reached.wait { !$0.isEmpty }
    #expect(reached.value == "penstock-remove")
    try await other.seek(to: .beginning)
    #expect(test.segments.count > 1)
    go.signal()
    #expect(try await removal.value.droppedSegments == 4 && test.segments.count == 1)
    try await log.close()
  }

  @Test func `each file but the last is followed by a pause as long as its size asks for`() async throws {
    let test = try await rolled()
    let pauses = Pauses()
    var environment = test.environment()
    environment.paceClock = pauses
    let writer = try LogOpening.open(TestLog.path, test.configuration, environment)
    let report = try writer.trimmer.trim(removesFiles: false)
    #expect(report.droppedSegments == 4 && test.segments.count == 5 && writer.trimmer.hasLeftovers)
    var freed = 0
    try writer.trimmer.removeDropped { freed += 1 }
    #expect(freed == 4 && test.segments.count == 1 && !writer.trimmer.hasLeftovers)
    let expected = (0..<3).map { _ in LogTrimmer.pause(after: UInt64(report.droppedBytes) / 4) }
    #expect(pauses.all.withLock { $0 } == expected && expected[0] > 0)
    #expect(LogTrimmer.pause(after: 64 << 20) == 100_000_000 && LogTrimmer.pause(after: .max) == 1_600_000_000)
    try writer.close()
  }

  @Test func `a closed log removes nothing more, and the next opening does`() async throws {
    let test = try await rolled()
    let writer = try test.openWriter()
    _ = try writer.trimmer.trim(removesFiles: false)
    try writer.close()
    try writer.trimmer.removeDropped()
    #expect(test.segments.count == 5 && !writer.trimmer.hasLeftovers)
    let next = try test.openWriter()
    #expect(test.segments.count == 1)
    try next.close()
  }

  @Test func `a file that cannot be removed is tried again`() async throws {
    let test = try await rolled()
    let writer = try test.openWriter()
    _ = try writer.trimmer.trim(removesFiles: false)
    test.disk.fail(atIO: test.disk.ioCount + 2)
    #expect(throws: LogError.self) { try writer.trimmer.removeDropped() }
    test.disk.clearFaults()
    #expect(writer.trimmer.hasLeftovers && test.segments.count == 4)
    try writer.trimmer.removeDropped()
    #expect(test.segments.count == 1)
    try writer.close()
  }
}
