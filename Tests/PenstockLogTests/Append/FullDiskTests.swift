@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// A disk without room, from both sides: what is refused or waits, and what goes on all the same.
@Suite(.timeLimit(.minutes(1))) struct FullDiskTests {
  /// A log that waits for room, on a disk that has none left, with looks for room when the test says so.
  private func full(_ configure: (inout LogConfiguration) -> Void = { _ in }) async throws -> (TestLog, Log, Ticks) {
    var test = TestLog()
    test.configuration.whenFull = .wait
    configure(&test.configuration)
    let ticks = Ticks()
    let log = try await test.open(waitingFor: ticks)
    test.disk.capacityBytes = 0
    // The first segment was filled with zeros; these fit.
    for number in 0..<14 { try await log.append(batch([record(number)])) }
    return (test, log, ticks)
  }

  @Test func `appends wait for room, cursors commit meanwhile, and all is written when it comes`() async throws {
    let (test, log, ticks) = try await full()
    let first = Task { try await log.append(batch([record(14)])) }
    await ticks.arrival()
    let others = (15..<20).map { number in Task { try await log.append(batch([record(number)])) } }
    #expect(await code { try await log.tryAppend(batch([record(99)])) } == .noSpace)
    let cursor = try await heldCursor(test, log)
    try await cursor.commit(try #require(try await cursor.next(upTo: .init(records: 5))))
    #expect(log.end == Offset(14) && cursor.state.committed == Offset(5))
    // A look in vain, and one more.
    ticks.tick()
    await ticks.arrival()
    #expect(log.end == Offset(14))
    test.disk.capacityBytes = nil
    ticks.tick()
    #expect(try await first.value.offsets.lowerBound == Offset(14))
    for other in others { _ = try await other.value }
    let found = try Reading(log.view)
    #expect(found.gaps.isEmpty && Set(found.inOrder) == Set(records(0..<20)) && found.inOrder[14] == record(14))
    try await log.close()
    #expect(try Reading(test.killed().openWriter().view) == found)
  }

  /// Its file needs room once, when it is made.
  private func heldCursor(_ test: TestLog, _ log: Log) async throws -> Cursor {
    let capacity = test.disk.capacityBytes
    test.disk.capacityBytes = nil
    defer { test.disk.capacityBytes = capacity }
    return try await log.cursor(named: "c")
  }

  @Test func `an append that waits for room can be cancelled, and leaves nothing behind`() async throws {
    let (test, log, ticks) = try await full()
    let first = Task { try await log.append(batch([record(50), record(51)])) }
    await ticks.arrival()
    let second = Task { try await log.append(batch([record(14)])) }
    let third = Task { await code { try await log.append(batch([record(52)])) } }
    third.cancel()
    #expect(await third.value == .cancelled)
    first.cancel()
    await #expect(throws: LogError.self) { try await first.value }
    test.disk.capacityBytes = nil
    ticks.tick()
    #expect(try await second.value.offsets == Offset(14)..<Offset(15))
    #expect(try Reading(log.view).inOrder == records(0..<15))
    try await log.close()
  }

  @Test func `cancelling what fills the queue lets in whoever waits for room in it`() async throws {
    let (test, log, ticks) = try await full { $0.queueBytes = 60 }
    let first = Task { try await log.append(batch([record(50), record(51)])) }
    await ticks.arrival()
    // It has taken its place in the line when this returns, and its turn is all it waits for.
    let second = Task.immediate { try await log.append(batch([record(14)]), durability: .accepted) }
    first.cancel()
    await #expect(throws: LogError.self) { try await first.value }
    let giveRoom = { @Sendable in
      test.disk.capacityBytes = nil
      ticks.tick()
    }
    // Before any look for room. Where it does not come, the time limit lets it go.
    let accepted = try await withTaskCancellationHandler {
      try await second.value
    } onCancel: {
      giveRoom()
    }
    #expect(accepted.offsets == Offset(14)..<Offset(15))
    giveRoom()
    try await log.sync()
    #expect(try Reading(log.view).inOrder == records(0..<15))
    try await log.close()
  }

  @Test func `a producer's appends wait for room in their order, cancelled or not`() async throws {
    let (test, log, ticks) = try await full()
    let producer = try await log.producer(named: "p")
    let first = Task.immediate { try await producer.append(batch([record(14)]), sequence: 1) }
    await ticks.arrival()
    let second = Task.immediate { try await producer.append(batch([record(15)]), sequence: 2) }
    let other = Task { await code { try await log.append(batch([record(99)])) } }
    other.cancel()
    second.cancel()
    #expect(await other.value == .cancelled)
    test.disk.capacityBytes = nil
    ticks.tick()
    #expect(try await first.value.offsets == Offset(14)..<Offset(15))
    #expect(try await second.value.offsets == Offset(15)..<Offset(16))
    #expect(try await producer.append(batch([record(14)]), sequence: 1).isDuplicate)
    #expect(try Reading(log.view).inOrder == records(0..<16))
    try await log.close()
  }

  @Test func `what retention removes is room at once`() async throws {
    let (test, log, ticks) = try await full { $0.retention = RetentionPolicy(maxBytes: 64 << 10) }
    let cursor = try await heldCursor(test, log)
    // Room for one more segment: then there are two, and the cursor holds the first.
    test.disk.capacityBytes = test.usedBytes + (64 << 10)
    for number in 14..<20 { try await log.append(batch([record(number)])) }
    #expect(test.segments.count == 2 && log.first == .zero)
    let waiting = Task {
      for number in 20..<30 { try await log.append(batch([record(number)])) }
    }
    await ticks.arrival()
    #expect(log.end > Offset(20) && log.end < Offset(30))
    try await cursor.seek(to: .end)
    #expect(try await log.trim().droppedSegments == 1)
    try await waiting.value
    #expect(log.end == Offset(30) && log.first > .zero)
    try await log.close()
  }

  @Test func `closing does not wait for room: the log is whole, and who waited is told`() async throws {
    let (test, log, ticks) = try await full()
    let waiting = (0..<3).map { number in
      Task { await code { try await log.append(batch([record(90 + number)])) } }
    }
    await ticks.arrival()
    try await log.close()
    for task in waiting { #expect([.noSpace, .closed].contains(await task.value)) }
    let again = try await test.open()
    #expect(again.recovery.outcome == .clean)
    #expect(try Reading(again.view).inOrder == records(0..<14))
    try await again.close()
  }

  @Test func `wherever the disk fills up, what was acknowledged is there, and the log continues later`() throws {
    for capacity in stride(from: 120_000, to: 420_000, by: 2_900) {
      let test = TestLog()
      let writer = try test.openWriter()
      let cursor = try test.cursor(of: writer)
      test.disk.capacityBytes = capacity
      var count = 0
      var refusals = 0
      while refusals < 3, count < 80 {
        do throws(LogError) {
          try writer.commit(record(count))
          count += 1
        } catch {
          #expect(error.code == .noSpace, "capacity \(capacity)")
          refusals += 1
        }
      }
      try cursor.move { (state) throws(CursorMoveError) in
        try state.committing(to: writer.durableEnd, epoch: 0, durableEnd: writer.durableEnd)
      }
      // The next process finds the disk as full as it is.
      for image in [test.killed(), test.afterPowerCut(), test.afterPowerCut(.everything)] {
        #expect(image.disk.capacityBytes == capacity)
        let next = try image.openWriter()
        #expect(next.recovery.gaps.isEmpty && next.durableEnd == Offset(UInt64(count)), "capacity \(capacity)")
        image.disk.capacityBytes = nil
        try next.commit(record(count))
        #expect(try Reading(next.view).inOrder == records(0..<count + 1), "capacity \(capacity)")
        try next.close()
      }
    }
  }

  @Test func `bytes that must be kept before they are cut are not cut on a full disk`() throws {
    let image = try TestLog.written(0..<3).0.killed()
    let segment = try image.newestSegment
    // Half of a block that nobody vouches for.
    #expect(image.disk.overwrite(segment, at: 8192 + 3 * 4096, [1, 2, 3, 4]))
    let before = try image.contents(segment)
    image.disk.capacityBytes = 0
    #expect(code { try image.openWriter() } == .noSpace)
    #expect(try image.contents(segment) == before && image.quarantine.isEmpty)
    image.disk.capacityBytes = nil
    let next = try image.killed().openWriter()
    #expect(next.recovery.outcome == .undecidable && next.recovery.quarantined.count == 1)
    #expect(try Reading(next.view).inOrder == records(0..<3))
  }

  @Test func `on a full disk a killed log can be recovered, although no byte can be added to LOCK`() throws {
    let test = try TestLog.written(0..<3).0
    let image = test.killed()
    image.disk.capacityBytes = 0
    #expect(image.disk.contents(TestLog.paths.lock) == [])
    try LogOpening.open(TestLog.path, test.configuration, image.environment(), as: .recovery).close()
    let next = try image.openWriter()
    #expect(try Reading(next.view).inOrder == records(0..<3))
  }

  @Test func `a cursor can be paused on a disk without room for the reason`() throws {
    let test = TestLog()
    _ = try test.openWriter()
    test.disk.capacityBytes = 0
    let pause = CursorPause(since: Timestamp(nanoseconds: 5), reason: "bucket moves")
    try CursorStore.setPause(pause, test.disk, TestLog.paths, name: "c")
    let image = test.afterPowerCut()
    #expect(try CursorStore.pause(image.disk, TestLog.paths, name: "c") == CursorPause(since: nil))
    try CursorStore.setPause(nil, test.disk, TestLog.paths, name: "c")
    #expect(try CursorStore.pause(test.disk, TestLog.paths, name: "c") == nil)
  }

  @Test func `a directory without room for a name refuses the append and harms nothing`() throws {
    let (test, writer) = try TestLog.written()
    try writer.preparer.prepare()
    for number in 0..<14 { try writer.commit(record(number)) }
    // The commit point, the header, its sync, the name.
    for io in [2, 4] {
      test.disk.fail(atIO: test.disk.ioCount + io, .noSpace)
      #expect(code { try writer.commit(record(14)) } == .noSpace, "I/O \(io)")
      #expect(test.segments.count == 1)
    }
    try writer.commit(record(14))
    #expect(test.segments.count == 2)
    #expect(try Reading(writer.view).inOrder == records(0..<15))
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<15))
  }
}
