@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct CursorTests {
  private func texts(_ batch: Batch?) -> [String] { recordBytes(batch).map { String(decoding: $0, as: UTF8.self) } }

  private func opened(_ count: Int, _ test: TestLog = TestLog()) async throws -> (TestLog, Log) {
    let log = try await test.open()
    for number in 0..<count { try await log.append("\(number)") }
    return (test, log)
  }

  @Test func `batches come one after the other, each until it is committed`() async throws {
    let (_, log) = try await opened(5)
    let cursor = try await log.cursor(named: "c")
    let limits = Cursor.Limits(records: 2)
    #expect(texts(try await cursor.next(upTo: limits)) == ["0", "1"])
    let first = try #require(try await cursor.next(upTo: .init(records: 5)))
    #expect(texts(first) == ["0", "1"], "not committed, so it comes again, whatever the limits are now")
    try await cursor.commit(first)
    #expect(cursor.state.committed == Offset(2))
    let second = try #require(try await cursor.next(upTo: limits))
    #expect(texts(second) == ["2", "3"])
    try await cursor.commit(second)
    let third = try #require(try await cursor.next(upTo: limits))
    #expect(texts(third) == ["4"])
    try await cursor.commit(third)
    #expect(cursor.state.committed == Offset(5) && cursor.state.inFlight.isEmpty)
    try await log.close()
  }

  @Test func `after a crash the equal batch comes again, though more was appended`() async throws {
    let (test, log) = try await opened(3)
    let cursor = try await log.cursor(named: "c")
    let before = texts(try await cursor.next(upTo: .init(records: 10)))
    #expect(before == ["0", "1", "2"])
    for image in [test.killed(), test.afterPowerCut()] {
      let again = try await image.open()
      try await again.append("3")
      let next = try await again.cursor(named: "c", startingAt: .end)
      let batch = try #require(try await next.next(upTo: .init(records: 10)))
      #expect(texts(batch) == before)
      #expect(next.epoch > cursor.epoch)
      try await next.commit(batch)
      #expect(texts(try await next.next()) == ["3"])
      try await again.close()
    }
    try await log.close()
  }

  @Test func `a batch holds at most so many records and bytes, and at least one record`() async throws {
    let (_, log) = try await opened(0)
    for text in ["aaaa", "bb", "", "cccccccccc", "d"] { try await log.append(text) }
    let cursor = try await log.cursor(named: "c")
    var sizes: [[String]] = []
    while cursor.state.committed < log.end {
      let batch = try #require(try await cursor.next(upTo: .init(records: 3, bytes: 6)))
      sizes.append(texts(batch))
      try await cursor.commit(batch)
    }
    #expect(sizes == [["aaaa", "bb", ""], ["cccccccccc"], ["d"]])
    try await log.close()
  }

  @Test func `a cursor begins where it is told, once`() async throws {
    let (test, log) = try await opened(4)
    for (name, start, expected) in [
      ("b", .beginning, 0), ("e", .end, 4), ("o", .offset(Offset(3)), 3), ("t", .time(test.clock.now()), 0),
    ] as [(String, Position, UInt64)] {
      #expect(try await log.cursor(named: name, startingAt: start).state.committed == Offset(expected))
      #expect(try await log.cursor(named: name, startingAt: .offset(Offset(1))).state.committed == Offset(expected))
    }
    try await log.close()
  }

  @Test func `a cursor never begins past the end`() async throws {
    let (test, log) = try await opened(2)
    #expect(await code { try await log.cursor(named: "c", startingAt: .offset(Offset(3))) } == .outOfRange)
    #expect(try await log.cursor(named: "d", startingAt: .offset(Offset(2))).state.committed == Offset(2))
    // Else it would bear witness to records that never were.
    let report = try test.killed().openWriter().recovery
    #expect(report.outcome == .clean && report.end == Offset(2))
    try await log.close()
  }

  @Test func `taking a cursor over fences the holder before`() async throws {
    let (_, log) = try await opened(3)
    let old = try await log.cursor(named: "c")
    let batch = try #require(try await old.next())
    let new = try await log.cursor(named: "c")
    #expect(new.epoch == old.epoch + 1)
    #expect(await code { try await old.commit(batch) } == .fenced)
    #expect(await code { try await old.seek(to: .end) } == .fenced)
    #expect(new.state.committed == .zero)
    let again = try #require(try await new.next())
    #expect(texts(again) == texts(batch))
    try await new.commit(again)
    try await log.close()
  }

  @Test func `a fenced holder is given no new batch`() async throws {
    let (_, log) = try await opened(3)
    let old = try await log.cursor(named: "c")
    _ = try await log.cursor(named: "c")
    #expect(await code { try await old.next() } == .fenced)
    try await log.close()
  }

  @Test func `another process is kept out, beside a writer and without one`() async throws {
    let (test, log) = try await opened(1)
    let reader = try await test.openReader()
    let cursor = try await reader.cursor(named: "c")
    #expect(await code { try await log.cursor(named: "c") } == .cursorHeld)
    #expect(try await log.cursor(named: "d").epoch == 1)
    #expect(await code { try await reader.cursor(named: "d") } == .cursorHeld)
    try await cursor.commit(try #require(try await cursor.next()))
    #expect(try reader.cursorStates().map(\.name) == ["c", "d"])
    #expect(try reader.cursorStates().map { try $0.state.get().committed } == [Offset(1), .zero])
    reader.close()
    #expect(try await log.cursor(named: "c").state.committed == Offset(1))
    try await log.close()
  }

  @Test func `a cursor of a closed log moves no more, and may be taken by the next`() async throws {
    let (test, log) = try await opened(2)
    let cursor = try await log.cursor(named: "c")
    let batch = try #require(try await cursor.next())
    try await log.close()
    #expect(await code { try await cursor.commit(batch) } == .closed)
    #expect(await code { try await log.cursor(named: "c") } == .closed)
    let again = try await test.open()
    let next = try await again.cursor(named: "c")
    #expect(next.state.committed == .zero && next.epoch == cursor.epoch + 1)
    #expect(texts(try await next.next()) == ["0", "1"])
    try await again.close()
  }

  @Test func `a seek that gives up the open batch is durable, and the batch cannot be committed`() async throws {
    let (test, log) = try await opened(4)
    let cursor = try await log.cursor(named: "c")
    let batch = try #require(try await cursor.next(upTo: .init(records: 3)))
    try await cursor.seek(to: .offset(Offset(1)), givingUpBatches: true)
    #expect(await code { try await cursor.commit(batch) } == .illegalMove)
    try await log.close()
    let again = try await test.open()
    let next = try await again.cursor(named: "c")
    #expect(next.state.inFlight.isEmpty && next.state.committed == Offset(1))
    #expect(texts(try await next.next()) == ["1", "2", "3"])
    try await again.close()
  }

  @Test func `seeking moves anywhere, but not with a batch open`() async throws {
    let (_, log) = try await opened(4)
    let cursor = try await log.cursor(named: "c")
    let batch = try #require(try await cursor.next(upTo: .init(records: 3)))
    #expect(await code { try await cursor.seek(to: .end) } == .illegalMove)
    try await cursor.commit(batch)
    try await cursor.seek(to: .offset(Offset(1)))
    #expect(texts(try await cursor.next()) == ["1", "2", "3"])
    #expect(await code { try await cursor.seek(to: .offset(Offset(9))) } == .illegalMove)
    try await log.close()
  }

  @Test func `a waiting cursor is woken by an append, by closing and by cancelling`() async throws {
    let (_, log) = try await opened(0)
    let cursor = try await log.cursor(named: "c")
    let woken = Task { try await cursor.next() }
    try await log.append("a")
    let batch = try #require(try await woken.value)
    #expect(texts(batch) == ["a"])
    try await cursor.commit(batch)
    let cancelled = Task { try await cursor.next() }
    cancelled.cancel()
    #expect(try await cancelled.value == nil)
    let closing = Task { try await cursor.next() }
    try await log.close()
    #expect(try await closing.value == nil)
  }

  @Test func `a batch that may wait is handed out as soon as it is full`() async throws {
    let (_, log) = try await opened(1)
    let cursor = try await log.cursor(named: "c")
    let waiting = Task { try await cursor.next(upTo: .init(records: 3, wait: .seconds(3_600))) }
    for number in 1..<3 { try await log.append("\(number)") }
    #expect(texts(try await waiting.value) == ["0", "1", "2"])
    try await log.close()
  }

  @Test func `a gap is thrown, and seeking behind it goes on`() async throws {
    let (test, writer) = try TestLog.written()
    for number in 0..<4 { try writer.commit(Array("\(number)".utf8)) }
    let image = test.killed()
    image.disk.flipBit(try image.newestSegment, at: 8192 + 4096 + 4090, bit: 0)
    let log = try await image.open()
    let cursor = try await log.cursor(named: "c")
    let first = try #require(try await cursor.next())
    #expect(texts(first) == ["0"], "a batch ends in front of a gap")
    try await cursor.commit(first)
    let error = await #expect(throws: LogError.self) { try await cursor.next() }
    let gap = try #require(error?.gap)
    #expect(error?.code == .gap && gap.first == Offset(1) && gap.end == Offset(2))
    try await cursor.seek(to: .offset(gap.end))
    #expect(texts(try await cursor.next()) == ["2", "3"])
    try await log.close()
  }

  @Test func `what is skipped while a move is being written follows it, and is durable`() async throws {
    let (test, log, gate) = try await TestLog.gated()
    for number in 0..<5 { try await log.append("\(number)") }
    let cursor = try await log.cursor(named: "c")
    gate.close(for: "small.slots", only: .synchronize)
    async let moved: Void = cursor.seek(to: .offset(Offset(3)))
    await gate.arrival()
    async let skipped = cursor.skip(to: Offset(4))
    await Task.yield()
    gate.open()
    try await moved
    // The skip came before the move or after it: what came later counts.
    let place = try await skipped
    #expect(place.committed == Offset(4) && cursor.state.committed == Offset(4))
    let image = test.disk.powerCut(.nothingUnsynced)
    #expect(try CursorStore.peek(image, TestLog.paths, name: "c").committed == Offset(4))
    try await log.close()
  }

  @Test func `cursors that are wanted together are taken with a few syncs`() async throws {
    let (test, log, gate) = try await TestLog.gated()
    let count = 40
    gate.close(for: "small.slots", only: .synchronize)
    async let first = log.cursor(named: "first")
    await gate.arrival()
    try await withThrowingTaskGroup(of: Cursor.self) { group in
      for number in 0..<count { group.addTask { try await log.cursor(named: "c\(number % (count - 1))") } }
      while log.cursors.requests.withLock({ $0.count }) < count { await Task.yield() }
      let before = test.disk.ioCount
      gate.open()
      var epochs: [String: [UInt32]] = [:]
      for try await cursor in group { epochs[cursor.name, default: []].append(cursor.epoch) }
      // Each is written twice: made, and taken. One by one, each would need two syncs or more.
      #expect(test.disk.ioCount - before < 3 * count)
      #expect(epochs.count == count - 1 && epochs["c0"]?.sorted() == [1, 2])
      #expect(epochs.allSatisfy { $0.key == "c0" || $0.value == [1] })
    }
    _ = try await first
    try await log.close()
  }
}
