import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

/// A log whose directory is removed or replaced under it notices, and acknowledges nothing any more.
@Suite(.timeLimit(.minutes(1))) struct LogPlaceTests {
  /// Ways in which a log loses its place.
  enum Loss: CaseIterable {
    case segment, lock, wholeDirectory, otherLog
  }

  @Test(arguments: Loss.allCases)
  func `an append to a log that lost its place is not acknowledged`(_ loss: Loss) async throws {
    for durability in [Durability.disk, .kernel] {
      var test = TestLog()
      test.configuration.durability = durability
      let log = try await test.open()
      try await log.append("before")
      switch loss {
      case .segment: try test.disk.remove(try test.newestSegment)
      case .lock:
        try test.disk.remove(TestLog.paths.lock)
        // As a second writer would make it.
        test.disk.close(try test.disk.open(TestLog.paths.lock, .create))
      case .wholeDirectory: for path in test.disk.filePaths { try test.disk.remove(path) }
      case .otherLog:
        try test.disk.rename(TestLog.path, to: "/moved")
        let other = try test.openWriter()
        try other.commit(record(7))
        try other.close()
      }
      #expect(await code { try await log.append("after") } == .poisoned, "\(durability)")
      #expect(await code { try await log.append("later") } == .poisoned)
      #expect(await code { try await log.sync() } == .poisoned)
      #expect(await code { try await log.close() } == .poisoned)
      if loss == .otherLog { #expect(try Reading(test.openWriter().view).inOrder == [record(7)]) }
    }
  }

  @Test func `a sync of a log that lost its place fails, also where nothing was appended`() async throws {
    let (test, log) = try await TestLog.opened()
    try await log.append("before")
    try test.disk.remove(try test.newestSegment)
    #expect(await code { try await log.sync() } == .poisoned)
  }

  @Test func `a real directory that is removed under a log ends it`() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      let log = try await Log.open(at: path)
      try await log.append("before")
      try FileManager.default.removeItem(atPath: path)
      for durability in [Durability.disk, .kernel] {
        #expect(
          await code { try await log.append("after", durability: durability) } == .poisoned)
      }
      #expect(await code { try await log.close() } == .poisoned)
    }
  }

  @Test func `however a log is closed, no file of it is made once the lock is free`() throws {
    for io in 1...3 {
      let test = TestLog()
      let writer = try test.openWriter()
      try writer.commit(record(0))
      _ = try writer.write([batch([record(1)])])
      test.disk.fail(atIO: test.disk.ioCount + io)
      #expect(throws: LogError.self) { try writer.close() }
      #expect(code { try writer.preparer.prepare() } == .closed, "I/O \(io)")
      #expect(!test.disk.filePaths.contains { $0.contains("next.tmp") })
    }
  }
}
