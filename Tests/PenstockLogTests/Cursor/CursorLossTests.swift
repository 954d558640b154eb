@testable import PenstockLog
import PenstockTestKit
import Testing

/// A cursor whose records are lost can always continue, and is never durable ahead of the log.
@Suite(.timeLimit(.minutes(1))) struct CursorLossTests {
  private func gap(_ cursor: Cursor) async throws -> Gap {
    try #require(await #expect(throws: LogError.self) { try await cursor.next() }?.gap)
  }

  @Test func `an open batch whose records are damaged is given up by acknowledging the gap`() async throws {
    let (test, log) = try await TestLog.opened()
    for number in 0..<6 { try await log.append(String(decoding: record(number), as: UTF8.self)) }
    _ = try #require(try await log.cursor(named: "c").next(upTo: .init(records: 4)))
    try await log.close()

    let image = test.killed()
    // The third record of the batch, which the cursor has noted and not committed.
    try #require(image.disk.flipBit(image.segments[0], at: 8192 + 2 * 4096 + 4090, bit: 1))
    let again = try await image.open()
    let cursor = try await again.cursor(named: "c")
    let lost = try await gap(cursor)
    #expect(lost.first == Offset(2) && lost.end == Offset(3))
    #expect(cursor.state.givenUp(by: lost.first..<lost.end) == .zero..<Offset(4))
    try await cursor.acknowledge(lost)
    #expect(cursor.state.committed == Offset(4) && cursor.state.inFlight.isEmpty)
    #expect(cursor.state.lastReceipt == "given up: records 0 ..< 4, some of them cannot be read")
    let next = try #require(try await cursor.next())
    #expect(next.first == Offset(4) && next.count == 2)
    try await again.close()
    // Durable.
    let state = try CursorStore.peek(image.disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c")
    #expect(state.committed == Offset(4))
  }

  @Test func `a gap that begins before the cursor, in one block with it, can be acknowledged`() async throws {
    let (test, log) = try await TestLog.opened()
    // One block of ten records, four of them committed.
    try await log.append(contentsOf: records(0..<10))
    try await log.append("last")
    let cursor = try await log.cursor(named: "c")
    try await cursor.commit(try #require(try await cursor.next(upTo: .init(records: 4))))
    try await log.close()

    let image = test.killed()
    try #require(image.disk.flipBit(image.segments[0], at: 8192 + 4090, bit: 1))
    let again = try await image.open()
    let next = try await again.cursor(named: "c")
    let lost = try await gap(next)
    #expect(lost.first == Offset(4) && lost.end == Offset(10))
    try await next.acknowledge(lost)
    #expect(next.state.committed == Offset(10))
    let batch = try #require(try await next.next())
    #expect(batch.first == Offset(10) && batch.count == 1)
    try await again.close()
  }

  @Test func `after a failed write a cursor does not pass records that are not on the disk`() async throws {
    let (test, log) = try await TestLog.opened { $0.durability = .kernel }
    let cursor = try await log.cursor(named: "c")
    try await log.append("0")
    test.disk.fail(atIO: test.disk.ioCount + 1, effect: .pagesLost)
    await #expect(throws: LogError.self) { try await log.sync() }
    #expect(await code { try await cursor.next() } == .poisoned, "the cursor took a batch that is on no disk")
    let state = try CursorStore.peek(test.disk.powerCut(.nothingUnsynced), TestLog.paths, name: "c")
    #expect(state.nextFirst == .zero)
    try? await log.close()
  }

  @Test(arguments: [Durability.kernel, .accepted])
  func `a cursor is never durable ahead of the log`(durability: Durability) async throws {
    let (test, log) = try await TestLog.opened { $0.durability = durability }
    let early = try await log.cursor(named: "early")
    for number in 0..<4 { try await log.append("\(number)") }
    let batch = try #require(try await early.next())
    let late = try await log.cursor(named: "late", startingAt: .end)
    let reader = try await test.openReader()
    let other = try await reader.cursor(named: "other")
    _ = try #require(try await other.next())
    for step in 0..<2 {
      if step == 1 { try await early.commit(batch) }
      let found = test.afterPowerCut()
      let opened = try found.openWriter()
      #expect(opened.recovery.gaps.isEmpty && opened.recovery.outcome == .clean)
      for name in ["early", "late", "other"] {
        let state = try CursorStore.peek(found.disk, TestLog.paths, name: name)
        #expect(state.nextFirst <= opened.durableEnd && state.violations(durableEnd: opened.durableEnd).isEmpty)
      }
      #expect(try Reading(opened.view).records.count == 4)
    }
    #expect(late.state.committed == Offset(4))
    reader.close()
    try await log.close()
  }
}
