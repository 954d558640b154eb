@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// A lock is on the file that has the name: no two holders, whatever other processes do between two steps of taking it.
@Suite struct NamedLockTests {
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

  /// A disk with a file, and the file system of a process that another one interrupts.
  private func file() throws -> (SimulatedFileSystem, GatedFileSystem, path: String) {
    let disk = SimulatedFileSystem()
    disk.install("/file", [1])
    return (disk, GatedFileSystem(disk), "/file")
  }

  @Test func `a file that is deleted and made again between opening and lock has one holder`() throws {
    let (disk, gated, path) = try file()
    let other = Mutex(false)
    gated.once(before: "lock") {
      try? disk.remove(path)
      let isTaken = (try? NamedLock.openOrCreate(disk, path)) != nil
      other.withLock { $0 = isTaken }
    }
    #expect(try NamedLock.open(gated, path) == nil && other.withLock { $0 })
  }

  @Test func `a file that is replaced between opening and lock is taken as the file that is there now`() throws {
    let (disk, gated, path) = try file()
    gated.once(before: "lock") {
      try? disk.remove(path)
      disk.install(path, [2])
    }
    let mine = try #require(try NamedLock.open(gated, path))
    #expect(try disk.path(path, names: mine) && NamedLock.open(disk, path) == nil)
  }

  @Test func `a file that is deleted between opening and lock is not held without a name`() throws {
    let (disk, gated, path) = try file()
    gated.once(before: "lock") { try? disk.remove(path) }
    let error = #expect(throws: FileSystemError.self) { try NamedLock.open(gated, path) }
    #expect(error?.code == .notFound && disk.openHandleCount == 0)
  }

  @Test func `two processes that make one file at the same time do not both hold it`() throws {
    for step in ["create", "lock"] {
      let (disk, gated, path) = try file()
      let other = Mutex(false)
      gated.once(before: step) {
        let isTaken = (try? NamedLock.create(disk, path)) != nil
        other.withLock { $0 = isTaken }
      }
      let mine = try NamedLock.create(gated, path)
      #expect((mine != nil) != other.withLock { $0 }, "before \(step)")
      if let mine { #expect(try disk.path(path, names: mine)) }
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
