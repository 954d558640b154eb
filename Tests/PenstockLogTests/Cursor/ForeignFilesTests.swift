@testable import PenstockLog
import PenstockTestKit
import Testing

/// Files in `cursors/` that are not the log's, and cursors that are damaged: neither hides the others.
@Suite(.timeLimit(.minutes(1))) struct ForeignFilesTests {
  private static let foreign = [
    "._a.cur", ".#a.cur", "a b.cur", "a.cur~", ".cur", "é.cur", "a.cur.tmp", "Kopie von a.cur", "._r.replay",
    "r r.replay", String(repeating: "x", count: 65) + ".cur", String(repeating: "x", count: 41) + ".replay",
  ]

  /// A log of five segments with the cursors a and b at its beginning, a replay, and foreign files.
  private func litteredLog() async throws -> TestLog {
    var test = TestLog()
    let log = try await test.open()
    try await test.append(to: log, segments: 5)
    for name in ["a", "b"] { _ = try await log.cursor(named: name) }
    try await log.replayManifests.createReplay(replay("r"))
    try await log.close()
    for name in Self.foreign { test.disk.install(TestLog.paths.cursors + "/" + name, [1, 2, 3]) }
    test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: 64 << 10)
    return test
  }

  @Test func `only valid names are the log's own`() async throws {
    let test = try await litteredLog()
    let reader = try await test.openReader()
    #expect(try reader.cursorNames() == ["a", "b"])
    #expect(try reader.cursorStates().map { try $0.state.get().committed } == [.zero, .zero])
    #expect(try await reader.replays().map(\.id) == ["r"])
    #expect(try test.inspector().cursorProblems().isEmpty)
    reader.close()
  }

  @Test func `one damaged cursor hides no other, and is named`() async throws {
    let test = try await litteredLog()
    try test.disk.damageCursor("a")
    let reader = try await test.openReader()
    let states = try reader.cursorStates()
    #expect(states.map(\.name) == ["a", "b"])
    #expect(throws: LogError.self) { try states[0].state.get() }
    #expect(try states[1].state.get().committed == .zero)
    #expect(try test.inspector().cursorProblems().map(\.path) == [TestLog.paths.cursors + "/a"])
    reader.close()
  }

  @Test func `one damaged replay hides no other`() async throws {
    let test = try await litteredLog()
    let log = try await test.open()
    try await log.replayManifests.createReplay(replay("s"))
    for slot in 0..<2 {
      #expect(test.disk.flipBit(TestLog.paths.cursors + "/r.replay", at: slot * 4096 + 30, bit: 3))
    }
    #expect(try await log.replays().map(\.id) == ["s"])
    let all = try await log.replayManifests.allReplays()
    #expect(all.map(\.id) == ["r", "s"])
    #expect(throws: LogError.self) { try all[0].manifest.get() }
    try await log.close()
  }

  @Test func `foreign files stop no retention`() async throws {
    let test = try await litteredLog()
    let log = try await test.open()
    let report = try await log.trim()
    #expect(report.holds.isEmpty && log.first > .zero)
    try await log.close()
  }

  @Test func `a damaged cursor holds back age and size, and the hard cap passes it`() async throws {
    for isCapped in [false, true] {
      var test = try await litteredLog()
      try test.disk.damageCursor("a")
      test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: isCapped ? 64 << 10 : nil)
      let log = try await test.open()
      let report = try await log.trim()
      #expect(report.holds.first { $0.reason == .unreadable }?.cursor == "a")
      #expect(isCapped == (log.first > .zero))
      // The readable one is told, as always; the damaged one says on its first use that it is damaged.
      if isCapped {
        let state = try CursorStore.peek(test.disk, TestLog.paths, name: "b")
        #expect(state.lost == Offset.zero..<log.first)
      }
      await #expect(throws: LogError.self) { try await log.cursor(named: "a") }
      try await log.close()
    }
  }

  @Test func `a damaged place without a name holds back age and size, and no new cursor begins`() async throws {
    for isCapped in [false, true] {
      var test = try await litteredLog()
      try test.disk.damageCursor("a", withName: true)
      test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: isCapped ? 64 << 10 : nil)
      let log = try await test.open()
      let report = try await log.trim()
      #expect(report.holds.first { $0.reason == .unreadable }?.cursor == "place 0 of small.slots")
      #expect(isCapped == (log.first > .zero))
      #expect(try test.inspector().cursorProblems().count == 1)
      let error = await #expect(throws: LogError.self) { try await log.cursor(named: "a") }
      #expect(error?.code == .damaged)
      #expect(try await log.cursor(named: "b").epoch == 2)
      try await log.close()
      try CursorStore.delete(test.disk, TestLog.paths, name: "place 0 of small.slots")
      let again = try await test.open()
      #expect(try await again.cursor(named: "a").epoch == 1)
      try await again.close()
    }
  }

  @Test func `tables that cannot be opened hold everything, hard cap or not`() async throws {
    var test = try await litteredLog()
    let cap = test.configuration.retention
    test.configuration.retention = RetentionPolicy()
    try await test.open().close()
    try test.disk.remove(TestLog.paths.slots(.small))
    try test.disk.makeDirectory(TestLog.paths.slots(.small))
    test.configuration.retention = cap
    let before = test.segments.count
    await #expect(throws: LogError.self) { try await test.open().close() }
    #expect(test.segments.count == before)
  }
}
