@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// A lock is on the file that has the name: no two holders, whatever other processes do between two steps of taking it.
@Suite struct NamedLockTests {
  private let logID: [UInt8] = Array(1...16)
  private let paths = TestLog.paths
  private var cursor: String { paths.cursor("c") }

  private func hold(_ disk: any FileSystem) throws(LogError) -> HeldCursor {
    try CursorStore.hold(disk, paths, logID: logID, name: "c", startingAt: .zero)
  }

  /// What another process does meanwhile, and what it holds from then on.
  private final class Other: Sendable {
    let held = Mutex<HeldCursor?>(nil)
    let code = Mutex<LogError.Code?>(nil)

    func take(_ body: () throws(LogError) -> HeldCursor) {
      do throws(LogError) {
        let cursor = try body()
        held.withLock { $0 = cursor }
      } catch {
        code.withLock { $0 = error.code }
      }
    }
  }

  @Test func `a cursor that is deleted and made again between opening and lock has one holder`() throws {
    let (disk, other) = (try logDirectory(), Other())
    try hold(disk).close()
    let gated = GatedFileSystem(disk)
    gated.once(before: "lock") { [self] in
      try? disk.remove(cursor)
      other.take { () throws(LogError) in try hold(disk) }
    }
    #expect(code { try hold(gated) } == .cursorHeld)
    #expect(other.held.withLock { $0 != nil })
  }

  @Test func `a cursor that is replaced between opening and lock is taken as the file that is there now`() throws {
    let disk = try logDirectory()
    try hold(disk).close()
    let gated = GatedFileSystem(disk)
    gated.once(before: "lock") { [self] in
      try? disk.remove(cursor)
      (try? hold(disk))?.close()
    }
    let mine = try hold(gated)
    try mine.acquire()
    #expect(try CursorStore.peek(disk, paths, name: "c").epoch == 1)
    #expect(code { try hold(disk) } == .cursorHeld)
  }

  @Test func `a cursor that is deleted between opening and lock is not held without a file`() throws {
    let disk = try logDirectory()
    try hold(disk).close()
    let gated = GatedFileSystem(disk)
    gated.once(before: "lock") { [self] in try? disk.remove(cursor) }
    let found = code { try CursorStore.take(gated, paths, logID: logID, name: "c") }
    #expect(found == .io && disk.openHandleCount == 0)
  }

  @Test func `two processes that make one cursor at the same time do not both hold it`() throws {
    for step in ["create", "lock", "rename"] {
      let (disk, other) = (try logDirectory(), Other())
      let gated = GatedFileSystem(disk)
      gated.once(before: step) { [self] in other.take { () throws(LogError) in try hold(disk) } }
      let mine = Other()
      mine.take { () throws(LogError) in try hold(gated) }
      let holders = [mine, other].compactMap { $0.held.withLock { $0 } }
      let refusals = [mine, other].compactMap { $0.code.withLock { $0 } }
      #expect(holders.count == 1 && refusals == [.cursorHeld], "before \(step)")
      let state = try holders[0].acquire()
      #expect(try CursorStore.peek(disk, paths, name: "c") == state)
      #expect(disk.filePaths == [cursor])
    }
  }

  @Test func `a holder whose file is removed or replaced from outside moves no more`() throws {
    for isReplaced in [false, true] {
      let disk = try logDirectory()
      let mine = try hold(disk)
      let before = mine.state
      try disk.remove(cursor)
      let other = isReplaced ? try hold(disk) : nil
      #expect(code { try mine.acquire() } == .poisoned)
      #expect(mine.state == before)
      try other?.acquire()
      #expect(try !isReplaced || CursorStore.peek(disk, paths, name: "c").epoch == 1)
    }
  }

  @Test func `a replay's cursor is locked until its file is gone`() async throws {
    let manifest = replay("again", end: .zero)
    for isHeld in [true, false] {
      let test = TestLog()
      let gated = GatedFileSystem(test.disk)
      var log = try await test.open(on: gated)
      try await log.replayManifests.createReplay(manifest)
      _ = try await log.replayCursor(manifest)
      if !isHeld {
        try await log.close()
        log = try await test.open(on: gated)
      }
      let logID = try test.inspector().meta.logID
      let other = Other()
      gated.once(before: "remove") {
        other.take { () throws(LogError) in
          try CursorStore.take(test.disk, TestLog.paths, logID: logID, name: manifest.cursorName)
        }
      }
      try await log.replayManifests.removeReplay("again", manifest: true)
      #expect(other.code.withLock { $0 } == .cursorHeld)
      #expect(try CursorStore.names(test.disk, TestLog.paths).isEmpty)
      try await log.close()
    }
  }

  @Test func `a log whose LOCK is removed between opening and lock has one writer`() throws {
    let test = TestLog()
    try test.openWriter().close()
    let gated = GatedFileSystem(test.disk)
    let opened = Mutex(false)
    gated.once(before: "lock") {
      try? test.disk.remove(TestLog.paths.lock)
      // Another process takes the lock of a new file and keeps it.
      let file = try? test.disk.open(TestLog.paths.lock, .create)
      opened.withLock { $0 = (try? file.map { try test.disk.lock($0) }) == true }
    }
    #expect(code { try LogDirectory.lock(gated, TestLog.paths) } == .locked && opened.withLock { $0 })
  }
}
