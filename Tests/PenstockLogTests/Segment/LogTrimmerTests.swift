@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// Retention on a disk: what goes, what holds, who is told.
@Suite(.timeLimit(.minutes(1))) struct LogTrimmerTests {
  /// A closed log of five segments, a second between appends, and where each segment begins.
  private func rolled(_ policy: RetentionPolicy) async throws -> (test: TestLog, bases: [Offset]) {
    var test = TestLog()
    let log = try await test.open()
    try await test.append(to: log, segments: 5, step: 1)
    let bases = log.view.set.segments.map(\.name.baseOffset)
    try await log.close()
    test.configuration.retention = policy
    return (test, bases)
  }

  private static let one = 64 << 10
  private static let forced = RetentionPolicy(maxBytes: one, hardCapBytes: one)

  private func gap(_ body: () async throws -> some Any) async -> Gap? {
    do { _ = try await body() } catch let error as LogError where error.code == .gap { return error.gap } catch {}
    return nil
  }

  @Test func `a log keeps everything unless told otherwise, and says so without a look at the disk`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy())
    let log = try await test.open()
    let before = (test.disk.ioCount, test.disk.readCount)
    let report = try await log.trim()
    #expect(report == RetentionReport(first: .zero) && log.first == .zero)
    #expect((test.disk.ioCount, test.disk.readCount) == before)
    #expect(test.segments.count == bases.count)
    try await log.close()
  }

  @Test func `size removes what every cursor has passed, and an opening does it by itself`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy(maxBytes: Self.one))
    let log = try await test.open()
    // The worker does one thing after the other: this run comes after the opening's.
    let report = try await log.trim()
    #expect(report.droppedSegments == 0, "there was nothing left to do")
    #expect(log.first == bases[4] && test.segments.count == 1)
    #expect(report.bytes <= UInt64(Self.one) && report.holds.isEmpty)
    let reading = try Reading(log.view)
    #expect(reading.gaps == [Gap(first: .zero, end: bases[4], reason: .trimmed)])
    try await log.append("goes on")
    try await log.close()
    let again = try await test.open()
    #expect(again.recovery.outcome == .clean && again.first == bases[4])
    #expect(try test.problems().isEmpty)
    try await again.close()
  }

  @Test func `age is counted on append times, whatever the clock does`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy(maxAge: .seconds(20)))
    test.clock.advance(seconds: 1_000_000_000)
    let log = try await test.open()
    _ = try await log.trim()
    // The newest record is as old as it was when it was appended.
    let newest = log.end - .zero - 1
    let expected = bases.last { ($0 - .zero) <= newest - 20 } ?? .zero
    #expect(log.first == expected && log.first > .zero && log.first < bases[4])
    let before = log.first
    test.clock.advance(seconds: -2_000_000_000)
    _ = try await log.trim()
    #expect(log.first == before)
    try await log.close()
  }

  @Test func `a cursor that stands still keeps what it has not passed, and the report names it`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy(maxBytes: Self.one))
    let seeds = try await test.openReader()
    _ = try await seeds.cursor(named: "slow", startingAt: .offset(bases[2] + 1))
    _ = try await seeds.cursor(named: "fast", startingAt: .end)
    seeds.close()
    let log = try await test.open()
    let report = try await log.trim()
    #expect(log.first == bases[2] && report.first == bases[2])
    #expect(report.holds.map(\.cursor) == ["slow"] && report.holds.first?.reason == .notPassed)
    #expect(report.holds.first?.offset == bases[2] + 1)
    let slow = try await log.cursor(named: "slow")
    try await slow.seek(to: .end)
    #expect(try await log.trim().droppedSegments == 2)
    #expect(log.first == bases[4])
    try await log.close()
  }

  @Test(arguments: [false, true])
  func `the hard cap passes a cursor, which gets the gap until it acknowledges`(isHeld: Bool) async throws {
    let (base, bases) = try await rolled(RetentionPolicy())
    var test = base
    var log = try await test.open()
    _ = try await log.cursor(named: "c", startingAt: .offset(Offset(2)))
    try await log.close()
    test.configuration.retention = Self.forced
    log = try await test.open()
    if isHeld { _ = try? await log.cursor(named: "c") }
    _ = try await log.trim()
    #expect(log.first == bases[4] && test.segments.count == 1)
    let expected = Gap(first: Offset(2), end: bases[4], reason: .trimmed)
    #expect(try CursorStore.peek(test.disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c").gap == expected)
    let cursor = try await log.cursor(named: "c")
    for _ in 0..<2 { #expect(await gap { try await cursor.next() } == expected) }
    let wrong = Gap(first: Offset(2), end: bases[3], reason: .trimmed)
    #expect(await gap { try await cursor.acknowledge(wrong) } == expected)
    try await cursor.acknowledge(expected)
    #expect(try await cursor.next()?.first == bases[4])
    try await log.close()
  }

  @Test func `what a cursor of this process has skipped holds nothing back`() async throws {
    let (base, bases) = try await rolled(RetentionPolicy())
    var test = base
    var log = try await test.open()
    _ = try await log.cursor(named: "c", startingAt: .beginning)
    try await log.close()
    test.configuration.retention = RetentionPolicy(maxBytes: Self.one)
    log = try await test.open()
    let cursor = try await log.cursor(named: "c")
    #expect(try await log.trim().droppedSegments == 0)
    #expect(try await cursor.skip(to: bases[4]).committed == bases[4])
    #expect(try CursorStore.peek(test.disk, TestLog.paths, name: "c").committed == .zero)
    let report = try await log.trim()
    #expect(report.losses.isEmpty && log.first == bases[4] && cursor.state.lost == nil)
    let durable = try CursorStore.peek(test.disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c")
    #expect(durable.committed == bases[4] && durable.lost == nil)
    try await log.close()
  }

  @Test func `a cursor that skips is durable with its next move, and a crash before only moves it back`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy())
    let log = try await test.open()
    let cursor = try await log.cursor(named: "c", startingAt: .beginning)
    func durable() throws -> Offset {
      try CursorStore.peek(test.disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c").committed
    }
    _ = try await cursor.skip(to: bases[1])
    #expect(try durable() == .zero)
    try await cursor.save()
    #expect(try durable() == bases[1])
    _ = try await cursor.skip(to: bases[2])
    try await cursor.begin(intent(bases[2], bases[2] + 1))
    #expect(try durable() == bases[2])
    await #expect(throws: LogError.self) { try await cursor.skip(to: bases[3]) }
    _ = try await cursor.complete(DeliveryID("a"), receipt: "")
    await #expect(throws: LogError.self) { try await cursor.skip(to: .zero) }
    // A later holder is at what is durable, and the earlier one moves no more.
    _ = try await cursor.skip(to: bases[3])
    let later = try await log.cursor(named: "c")
    #expect(later.state.committed == bases[3])
    await #expect(throws: LogError.self) { try await cursor.save() }
    await #expect(throws: LogError.self) { try await cursor.skip(to: bases[4]) }
    try await log.close()
  }

  @Test(arguments: [false, true])
  func `what many cursors have skipped is written with one sync, and so is what they lose`(skip: Bool) async throws {
    let (base, bases) = try await rolled(RetentionPolicy())
    var test = base
    let count = 16
    var log = try await test.open()
    for number in 0..<count { _ = try await log.cursor(named: "c\(number)", startingAt: .beginning) }
    try await log.close()
    test.configuration.retention = skip ? RetentionPolicy(maxBytes: Self.one) : Self.forced
    var before = test.disk.ioCount
    log = try await test.open()
    if skip {
      for number in 0..<count { _ = try await log.cursor(named: "c\(number)").skip(to: bases[4]) }
      before = test.disk.ioCount
    }
    _ = try await log.trim()
    // One write each, a few syncs, and the rest of the run; one by one it would be twice as much.
    #expect(test.disk.ioCount - before < count + (skip ? 10 : 30))
    let after = test.disk.powerCut(.nothingUnsynced)
    for number in 0..<count {
      let state = try CursorStore.peek(after, TestLog.paths, name: "c\(number)")
      #expect(skip ? state.committed == bases[4] : state.lost == .zero..<bases[4])
    }
    try await log.close()
  }

  private func intent(_ first: Offset, _ end: Offset) -> Intent {
    Intent(
      id: DeliveryID("a"), first: first, end: end, contentDigest: [UInt8](repeating: 0, count: 32), plan: [],
      createdAt: Timestamp(nanoseconds: 0))
  }

  @Test func `an intent that must be cut fails with the gap`() async throws {
    let (base, bases) = try await rolled(RetentionPolicy())
    var test = base
    var log = try await test.open()
    var cursor = try await log.cursor(named: "c", startingAt: .offset(bases[1]))
    let open = try #require(try await cursor.next(upTo: .init(records: 3)))
    try await log.close()
    test.configuration.retention = Self.forced
    log = try await test.open()
    cursor = try await log.cursor(named: "c")
    _ = try await log.trim()
    let expected = Gap(first: bases[1], end: bases[4], reason: .trimmed)
    #expect(await gap { try await cursor.commit(open) } == expected)
    #expect(await gap { try await cursor.next() } == expected)
    try await cursor.seek(to: .beginning)
    #expect(try await cursor.next(upTo: .init(records: 1))?.first == bases[4])
    try await log.close()
  }

  @Test func `a cursor of another process is not passed, because it could not be told`() async throws {
    let (test, bases) = try await rolled(Self.forced)
    let other = try await test.openReader()
    let cursor = try await other.cursor(named: "c", startingAt: .offset(bases[1]))
    let log = try await test.open()
    var report = try await log.trim()
    #expect(log.first == bases[1])
    #expect(report.holds.map(\.reason) == [.heldElsewhere] && report.holds.first?.cursor == "c")
    #expect(cursor.state.lost == nil)
    other.close()
    report = try await log.trim()
    #expect(log.first == bases[4] && report.losses.map(\.cursor) == ["c"] && report.holds.isEmpty)
    try await log.close()
  }

  @Test func `what is trimmed while another process looks at the log is called trimmed`() async throws {
    let (test, bases) = try await rolled(Self.forced)
    let writer = try test.openWriter()
    let trimmer = writer.trimmer
    let gate = GatedFileSystem(test.disk)
    gate.beforeList.withLock { $0 = { _ = try? trimmer.trim() } }
    let reader = try await LogReader.open(at: TestLog.path, environment: test.environment(on: gate))
    #expect(gate.beforeList.withLock { $0 == nil })
    #expect(try Reading(reader.view).gaps == [Gap(first: .zero, end: bases[4], reason: .trimmed)])
    try writer.close()
  }

  @Test func `a run asks the disk about segments that are new to it, and about the newest`() async throws {
    let (test, _) = try await rolled(RetentionPolicy(maxAge: .seconds(1_000_000)))
    let log = try await test.open()
    _ = try await log.trim()
    let before = test.disk.readCount
    _ = try await log.trim()
    #expect(test.disk.readCount == before)
    try await log.close()
  }

  @Test func `a reader in another process goes on over segments that are trimmed under it`() async throws {
    let (test, bases) = try await rolled(RetentionPolicy(maxBytes: Self.one))
    let reader = try await test.openReader()
    // It has the first segment open, the second not yet.
    #expect(try reader.view.batch(from: .zero, maxRecords: 1, maxBytes: 1_000)?.first == .zero)
    let log = try await test.open()
    _ = try await log.trim()
    #expect(test.segments.count == 1)
    #expect(try reader.view.batch(from: Offset(1), maxRecords: 1, maxBytes: 1_000)?.first == Offset(1))
    let lost = await gap { try reader.view.batch(from: bases[1], maxRecords: 1, maxBytes: 1_000) }
    #expect(lost == Gap(first: bases[1], end: bases[4], reason: .trimmed))
    #expect(reader.first == bases[4])
    #expect(try Reading(reader.view, from: bases[4]).gaps.isEmpty)
    #expect(try reader.offset(of: .time(Timestamp(nanoseconds: 0))) == bases[4])
    reader.close()
    try await log.close()
  }

  @Test func `a failure anywhere in a run leaves a log that the next run or opening finishes`() async throws {
    let (base, bases) = try await rolled(Self.forced)
    let reader = try await base.openReader()
    _ = try await reader.cursor(named: "c", startingAt: .offset(Offset(1)))
    reader.close()
    var number = 1
    while true {
      var test = base.killed()
      let writer = try test.openWriter()
      test.disk.fail(atIO: test.disk.ioCount + number)
      let isThrough = (try? writer.trimmer.trim()) != nil
      test.disk.clearFaults()
      if isThrough { break }
      test = test.killed()
      let next = try test.openWriter()
      _ = try next.trimmer.trim()
      #expect(next.view.set.first == bases[4] && test.segments.count == 1, "I/O \(number)")
      let state = try CursorStore.peek(test.disk, TestLog.paths, name: "c")
      #expect(state.lost == Offset(1)..<bases[4], "I/O \(number)")
      number += 1
    }
    #expect(number > 8)
  }

  @Test func `a closed log trims no more`() async throws {
    let (test, _) = try await rolled(Self.forced)
    let log = try await test.open()
    try await log.close()
    await #expect(throws: LogError.self) { try await log.trim() }
  }
}
