@testable import PenstockLog
import PenstockTestKit
import Testing

/// What an observer is told, exactly, after known work.
@Suite(.timeLimit(.minutes(1))) struct LogObserverTests {
  /// An open log and its observer. Each reading of the clock takes a millisecond.
  private func observed(_ test: TestLog = TestLog()) async throws -> (Log, EventRecorder) {
    let recorder = EventRecorder()
    var environment = test.environment()
    environment.observer = recorder
    environment.paceClock = StepClock()
    return (try await test.open(with: environment), recorder)
  }

  @Test func `without an observer nobody looks at the clock`() async throws {
    var environment = TestLog().environment()
    let clock = StepClock()
    environment.paceClock = clock
    let log = try await Log.open(at: TestLog.path, environment: environment)
    try await log.append("one")
    let cursor = try await log.cursor(named: "c")
    try await cursor.commit(try #require(try await cursor.next()))
    try await log.trim()
    try await log.close()
    #expect(clock.count == 0)
  }

  @Test func `a group is told once, with its block, its sync and how long it took`() async throws {
    let (log, recorder) = try await observed()
    try await log.append(batch(records(0..<7)))
    try await log.close()
    var (blocks, groups, syncs): ([LogObserverEvent.Block], [LogObserverEvent.Group], [Duration]) = ([], [], [])
    for notice in recorder.notices {
      switch notice {
      case .wroteBlock(let block): blocks.append(block)
      case .committed(let group): groups.append(group)
      case .synced(let duration): syncs.append(duration)
      default: break
      }
    }
    let (block, group) = (try #require(blocks.first), try #require(groups.first))
    #expect(blocks.count == 1 && groups.count == 1 && syncs == [.milliseconds(1)])
    #expect(block.offsets == Offset(0)..<Offset(7) && block.storedBytes == 4096)
    #expect(block.rawBytes == records(0..<7).reduce(0) { $0 + $1.count + 1 })
    #expect(group.offsets == block.offsets && group.appends == 1 && group.queuedBytes == 0)
    #expect(group.queueLimit == LogConfiguration().queueBytes && group.latency > block.duration)
    guard case .opened(let report, _) = recorder.notices.first, case .closed(nil) = recorder.notices.last else {
      Issue.record("\(recorder.notices)")
      return
    }
    #expect(report.outcome == .created)
  }

  @Test func `a block is decoded once for two readers, and the second is told to have found it`() async throws {
    let (log, recorder) = try await observed()
    try await log.append(batch(records(0..<3)))
    await recorder.committed()
    for _ in 0..<2 { for try await _ in log.records().batches() {} }
    let reads = recorder.notices.compactMap { if case .readBlock(let read) = $0 { read } else { nil } }
    #expect(reads.map(\.wasCached) == [false, true])
    #expect(reads.map(\.duration) == [.milliseconds(1), .zero] && reads[0].bytes == reads[1].bytes)
    try await log.close()
  }

  @Test func `a cursor's moves are told with where it stands`() async throws {
    let (log, recorder) = try await observed()
    try await log.append(batch(records(0..<5)))
    await recorder.committed()
    let cursor = try await log.cursor(named: "c")
    try await cursor.commit(try #require(try await cursor.next(upTo: .init(records: 2))))
    try await cursor.seek(to: .beginning)
    let moves = recorder.notices.compactMap { if case .movedCursor(let move) = $0 { move } else { nil } }
    #expect(moves.map(\.kind) == [.begin, .commit, .seek])
    #expect(moves.map(\.committed) == [.zero, Offset(2), .zero])
    #expect(moves.allSatisfy { $0.end == Offset(5) && $0.cursor == "c" && $0.duration == .milliseconds(1) })
    try await log.close()
  }

  @Test func `segments, their sealing and what retention drops are told`() async throws {
    var test = TestLog()
    test.configuration.sealing = .on
    test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10)
    let (log, recorder) = try await observed(test)
    let holder = try await log.cursor(named: "c")
    for number in 0..<40 { try await log.append(batch([record(number)])) }
    await recorder.wait { if case .sealed = $0 { true } else { false } }
    try await holder.seek(to: .end)
    let report = try await log.trim()
    try await log.close()
    let notices = recorder.notices
    let rolled = notices.compactMap { if case .rolled(let segment, _) = $0 { segment } else { nil } }
    let sealed = notices.compactMap { if case .sealed(let sealed) = $0 { sealed } else { nil } }
    let dropped = notices.compactMap { if case .trimmed(let report, _) = $0 { report.droppedSegments } else { nil } }
    #expect(rolled == Array(1...UInt64(rolled.count)) && !rolled.isEmpty)
    #expect(sealed.allSatisfy { $0.bytesAfter < $0.bytesBefore })
    #expect(report.droppedSegments == rolled.count && dropped.reduce(0, +) == rolled.count)
  }

  @Test func `appends that find no room are told as failures`() async throws {
    let test = TestLog()
    let (log, recorder) = try await observed(test)
    test.disk.capacityBytes = 0
    var failures = 0
    for number in 0..<40 {
      do throws(LogError) { try await log.append(batch([record(number)])) } catch { failures += 1 }
    }
    test.disk.capacityBytes = nil
    try await log.close()
    let told = recorder.notices.compactMap { if case .failed(let count, .noSpace) = $0 { count } else { nil } }
    #expect(failures > 0 && told.reduce(0, +) == failures)
  }
}
