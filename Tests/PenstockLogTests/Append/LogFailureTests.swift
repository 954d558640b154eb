@testable import PenstockLog
import PenstockTestKit
import Testing

/// Disks that fail, fill up and stand still.
@Suite(.timeLimit(.minutes(1))) struct LogFailureTests {
  // MARK: Failing

  @Test(arguments: [1, 2])
  func `a failed write or sync ends all writing, reads continue, and nothing unsynced is seen`(io: Int) async throws {
    let (test, log) = try await TestLog.opened()
    try await log.append("a")
    test.disk.fail(atIO: test.disk.ioCount + io)
    #expect(await code { try await log.append("b") } == .poisoned)
    #expect(log.end == Offset(1))
    #expect(try await texts(log) == ["a"])
    for _ in 0..<3 {
      #expect(await code { try await log.append("c") } == .poisoned)
      #expect(await code { try await log.tryAppend(batch([[1]])) } == .poisoned)
    }
    #expect(try await texts(log) == ["a"])
    #expect(await code { try await log.sync() } == .poisoned)
    _ = try? await log.close()
    #expect(await code { try await log.append("d") } != nil)
    #expect(try await texts(log) == ["a"])
    // "b" may be there, whole, or not; "a" must be.
    let again = try await test.killed().open()
    #expect([["a"], ["a", "b"]].contains(try await texts(again)))
    try await again.close()
  }

  @Test func `every caller that waits gets the error when the log is poisoned`() async throws {
    var test = TestLog()
    test.configuration.queueBytes = 10
    test.configuration.durability = .kernel
    let gate = GatedFileSystem(test.disk)
    let log = try await test.open(on: gate)
    gate.close(for: ".seg")
    async let first = code { try await log.append("first") }
    await gate.arrival()
    try await log.append("in q", durability: .accepted)
    async let queued = code { try await log.append("too") }
    async let waiting = code { try await log.append("waits for room") }
    async let syncing = code { try await log.sync() }
    // Time to stand in line; who comes later must be told just the same.
    for _ in 0..<1_000 { await Task.yield() }
    gate.open(failing: .inputOutput)
    #expect(await first == .poisoned)
    #expect(await queued == .poisoned)
    #expect(await waiting == .poisoned)
    #expect(await syncing == .poisoned, "a sync that did not happen must not be reported as done")
    _ = try? await log.close()
  }

  @Test func `a failure to make the next segment ready poisons like any other`() throws {
    let (test, writer) = try TestLog.written()
    var count = 0
    while !writer.wantsNextSegment || count < 14 {
      try writer.commit(record(count))
      count += 1
    }
    let before = test.segments.count
    test.disk.fail(fromIO: test.disk.ioCount + 1, .inputOutput)
    #expect(code { try writer.commit(record(count)) } == .poisoned)
    test.disk.clearFaults()
    #expect(code { try writer.commit(record(count)) } == .poisoned)
    #expect(test.segments.count == before)
    #expect(try Reading(test.killed().openWriter().view).inOrder == records(0..<count))
  }

  @Test func `what is served after a failed sync and an opening survives a power cut`() throws {
    let (test, writer) = try TestLog.written()
    try writer.commit(record(0))
    test.disk.fail(atIO: test.disk.ioCount + 2, effect: .pagesLost)
    #expect(throws: LogError.self) { try writer.commit(record(1)) }
    // The next process, on the same running machine.
    let next = test.killed()
    let seen = try Reading(next.openWriter().view).inOrder
    let survivors = try Reading(next.afterPowerCut().openWriter().view).inOrder
    #expect(seen == records(0..<1) && survivors == seen)
  }

  @Test func `appends after a failed write and a restart survive a power cut`() throws {
    // The space that a failed write took never shows what a later one writes: commits and the zeros before them.
    for io in 1...6 {
      let test = TestLog()
      let writer = try test.openWriter()
      try writer.commit(record(0))
      // Larger than what is filled, so that the segment grows first.
      test.disk.fail(atIO: test.disk.ioCount + io, effect: .pagesLost)
      let large = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
      var acknowledged = 1
      do throws(LogError) {
        for _ in 0..<4 {
          try writer.commit(large)
          acknowledged += 1
        }
      } catch { #expect(error.code == .poisoned) }
      // The next process, on the same running machine, does the same again.
      let next = test.killed()
      let again = try next.openWriter()
      #expect(again.durableEnd >= Offset(UInt64(acknowledged)))
      for _ in 0..<4 { try again.commit(large) }
      let found = try next.afterPowerCut().openWriter()
      #expect(found.durableEnd == again.durableEnd, "I/O \(io)")
      #expect(try Reading(found.view).gaps.isEmpty)
    }
  }

  @Test func `an opening that cannot prove what the disk holds says so`() throws {
    let test = TestLog()
    try test.openWriter().commit(record(0))
    let image = test.killed()
    image.disk.cacheDropping = .isNotProven
    #expect(try !image.openWriter().recovery.isDiskProven)
    let stale = test.killed()
    stale.disk.cacheDropping = .fails
    #expect(code { try stale.openWriter() } == .io)
  }

  // MARK: Durability

  @Test func `nothing is seen before it is on stable storage`() async throws {
    let (test, log, gate) = try await TestLog.gated()
    let reader = try await test.openReader()
    try await log.append("a")
    gate.close(for: ".seg")
    async let receipt = log.append("b")
    await gate.arrival()
    try reader.refresh()
    #expect(log.end == Offset(1) && reader.end == Offset(1))
    #expect(try await texts(log) == ["a"])
    gate.open()
    #expect(try await receipt.offsets.lowerBound == Offset(1))
    #expect(log.end == Offset(2))
    try reader.refresh()
    #expect(reader.end == Offset(2))
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder.count == 2)
    try await log.close()
  }

  @Test func `a log of weaker durability shows at once and syncs when asked`() async throws {
    let (test, log) = try await TestLog.opened { $0.durability = .kernel }
    try await log.append("a")
    #expect(log.end == Offset(1))
    #expect(try await texts(log) == ["a"])
    #expect(try Reading(test.killed().openWriter().view).inOrder.count == 1)
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder.isEmpty)
    try await log.sync()
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder.count == 1)
    try await log.append("b")
    #expect(try await log.append("c", durability: .disk).durability == .disk)
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder.count == 3)
    try await log.close()
  }

  @Test func `who is told in a log of weaker durability finds its record, whoever waits for a sync beside it`()
    async throws
  {
    let (_, log, gate) = try await TestLog.gated { $0.durability = .kernel }
    gate.close(for: ".seg")
    async let first = log.append("first")
    defer { gate.open() }
    await gate.arrival()
    async let synced = log.append("synced", durability: .disk)
    defer { gate.open() }
    try await until(log, accepted: 2, inLine: 0)
    async let told = log.append("told")
    defer { gate.open() }
    try await until(log, accepted: 3, inLine: 0)
    gate.close(for: ".seg", only: .synchronize)
    _ = try await (first, told)
    #expect(log.end == Offset(3))
    #expect(try await texts(log) == ["first", "synced", "told"])
    gate.open()
    _ = try await synced
    try await log.close()
  }

  @Test func `what is written and not synced is not shown, even when publishing`() throws {
    let (test, writer) = try TestLog.written()
    try writer.commit(record(0))
    _ = try writer.write([batch([record(1)])])
    try writer.publish()
    #expect(writer.view.end == Offset(1) && writer.end == Offset(2) && writer.durableEnd == Offset(1))
    #expect(try Reading(writer.view).inOrder == records(0..<1))
    let reader = try CommitPoint.read(test.disk, TestLog.paths, logID: writer.logID)
    #expect(reader?.visible.offset == Offset(1) && reader?.durable.offset == Offset(1))
    try writer.synchronize()
    #expect(writer.view.end == Offset(1))
    try writer.publish()
    #expect(try Reading(writer.view).inOrder == records(0..<2))
    for number in 2..<6 { try writer.commit(record(number)) }
    #expect(try Reading(writer.view).inOrder == records(0..<6))
  }

  @Test func `a log of weaker durability syncs a segment before it leaves it`() throws {
    let (test, writer) = try TestLog.written { $0.durability = .kernel }
    var count = 0
    while test.segments.count < 3 {
      _ = try writer.write([batch([record(count)])])
      try writer.publish()
      count += 1
    }
    #expect(try Reading(writer.view).inOrder == records(0..<count))
    let kept = try Reading(test.afterPowerCut().openWriter().view)
    // All but what stands in the third segment, which was never synced.
    #expect(kept.gaps.isEmpty && kept.inOrder == records(0..<(count - 1)))
  }

  // MARK: Back-pressure

  @Test func `a full queue makes append wait and tryAppend throw, and cancelling leaves nothing behind`() async throws {
    let (_, log, gate) = try await TestLog.gated { $0.queueBytes = 20 }
    gate.close(for: ".seg")
    async let first = log.append("first")
    await gate.arrival()
    // Accepted is in the queue.
    try await log.append("second fills it up", durability: .accepted)
    #expect(await code { try await log.tryAppend(batch([record(1)])) } == .overloaded)
    let cancelled = Task { await code { try await log.append("never") } }
    let late = Task { try await log.append("late") }
    for _ in 0..<100 { await Task.yield() }
    cancelled.cancel()
    #expect(await cancelled.value == .cancelled)
    let alreadyCancelled = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return await code { try await log.append("neither") }
    }
    #expect(await alreadyCancelled.value == .cancelled)
    gate.open()
    _ = try await (first, late.value)
    #expect(try await texts(log) == ["first", "second fills it up", "late"])
    try await log.close()
  }

  /// Returns when the log has taken in so many records, and so many appends wait for room. Throws when that does not
  /// happen within the time limit.
  private func until(_ log: Log, accepted: UInt64, inLine: Int) async throws {
    while log.committer.queueStatus != (Offset(accepted), inLine) {
      try Task.checkCancellation()
      await Task.yield()
    }
  }

  @Test func `small appends do not overtake a large one that waits for room`() async throws {
    let (_, log, gate) = try await TestLog.gated { $0.queueBytes = 20 }
    gate.close(for: ".seg")
    async let first = log.append("first")
    // However it ends, before the append is awaited.
    defer { gate.open() }
    await gate.arrival()
    try await log.append("queued", durability: .accepted)
    let large = Task { try await log.append(String(repeating: "L", count: 30)) }
    try await until(log, accepted: 2, inLine: 1)
    // There is room for it, but it is not its turn.
    try #require(throws: LogError.self) { try log.appendWithoutWaiting(batch([[1]])) }
    #expect(await code { try await log.tryAppend(batch([[1]])) } == .overloaded)
    let late = Task { try await log.append("late") }
    try await until(log, accepted: 2, inLine: 2)
    gate.open()
    _ = try await (first, large.value, late.value)
    #expect(try await texts(log) == ["first", "queued", String(repeating: "L", count: 30), "late"])
    try await log.close()
  }

  @Test func `who leaves the line lets those behind it go on, producers with them`() async throws {
    let (_, log, gate) = try await TestLog.gated { $0.queueBytes = 20 }
    let producer = try await log.producer(named: "p")
    gate.close(for: ".seg")
    async let first = log.append("first")
    defer { gate.open() }
    await gate.arrival()
    try await log.append("queued", durability: .accepted)
    let large = Task { await code { try await log.append(String(repeating: "L", count: 30)) } }
    try await until(log, accepted: 2, inLine: 1)
    let numbered = Task { try await producer.append(batch([[65]]), sequence: 1) }
    try await until(log, accepted: 2, inLine: 2)
    large.cancel()
    #expect(await large.value == .cancelled)
    // Taken in, while nothing is written yet.
    try await until(log, accepted: 3, inLine: 0)
    gate.open()
    _ = try await (first, numbered.value)
    #expect(try await texts(log) == ["first", "queued", "A"])
    try await log.close()
  }

  // MARK: A full disk

  @Test func `a full disk refuses whole batches, and appends work again when there is room`() async throws {
    let (test, log) = try await TestLog.opened()
    let cursor = try await log.cursor(named: "c")
    test.disk.capacityBytes = 0
    var count = 0
    var refused = 0
    while refused < 3 {
      let code = await code { try await log.append(batch(records(count..<count + 2))) }
      if code == nil {
        #expect(refused == 0)
        count += 2
      } else {
        #expect(code == .noSpace)
        refused += 1
      }
    }
    #expect(count > 10 && log.end == Offset(UInt64(count)))
    #expect(test.disk.filePaths.filter { $0.contains("next.tmp") }.isEmpty)

    // Cursors commit on the full disk.
    try await cursor.commit(try #require(try await cursor.next(upTo: .init(records: 5))))
    #expect(cursor.state.committed == Offset(5))

    // A crash now finds everything that was acknowledged, and nothing else.
    let image = test.killed()
    image.disk.capacityBytes = nil
    #expect(try Reading(image.openWriter().view).inOrder == records(0..<count))

    test.disk.capacityBytes = nil
    #expect(try await log.append(batch([record(count)])).offsets.lowerBound == Offset(UInt64(count)))
    #expect(test.segments.count == 2)
    try await log.close()
    let again = try await test.open()
    #expect(again.recovery.outcome == .clean && again.end == Offset(UInt64(count + 1)))
    #expect(try Reading(again.view).inOrder == records(0..<(count + 1)))
    try await again.close()
  }

  @Test func `all who wait are told that the disk is full, those who wait for room, too`() async throws {
    let (test, log, gate) = try await TestLog.gated { $0.queueBytes = 10 }
    test.disk.capacityBytes = 0
    for number in 0..<14 { try await log.append("\(number)") }
    gate.close(for: "next.tmp.part")
    async let first = code { try await log.append("rolls") }
    await gate.arrival()
    try await log.append("in q", durability: .accepted)
    async let queued = code { try await log.append("too") }
    async let waiting = code { try await log.append("waits for room") }
    for _ in 0..<1_000 { await Task.yield() }
    gate.open()
    #expect(await first == .noSpace)
    // Told, or taken in and written in the end: but they must come back.
    let others = [await queued, await waiting]
    #expect(others.allSatisfy { $0 == nil || $0 == .noSpace })
    // The one whose caller did not wait was dropped, too.
    #expect(await code { try await log.sync() } == .noSpace)
    try await log.close()
  }

  @Test func `a log is created whole or not at all, whatever the disk has room for`() async throws {
    for capacity in stride(from: 0, to: 110_000, by: 3_700) {
      let test = TestLog()
      test.disk.capacityBytes = capacity
      if let code = await code({ try await test.open() }) {
        #expect(code == .noSpace, "capacity \(capacity)")
      }
      test.disk.capacityBytes = nil
      let image = test.killed()
      let log = try await image.open()
      #expect(log.recovery.gaps.isEmpty && log.end == .zero)
      try await log.append("a")
      try await log.close()
    }
  }
}
