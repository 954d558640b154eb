import Foundation
import PenstockTestKit
import Testing

@testable import PenstockLog

@Suite("A log's directory")
struct LogDirectoryTests {
  private let fileSystem = POSIXFileSystem()

  @Test(
    "what a file system keeps at the root of a volume is no stranger",
    arguments: ["lost+found", ".snapshot", "aquota.user", ".Trash-1000", ".fseventsd"])
  func volume(name: String) async throws {
    try await withTemporaryDirectory { directory in
      let paths = LogPaths(directory + "/log")
      try fileSystem.makeDirectory(paths.root)
      try fileSystem.makeDirectory(paths.root + "/" + name)
      #expect(try !LogDirectory.exists(fileSystem, paths))
      let log = try await Log.open(at: paths.root)
      try await log.append(contentsOf: [Array("one".utf8)])
      try await log.close()
      try fileSystem.makeDirectory(paths.data + "/" + name)
      let again = try await Log.open(at: paths.root)
      #expect(again.end == Offset(1) && again.recovery.unknownFiles.isEmpty, "\(again.recovery)")
      try await again.close()
    }
  }

  @Test func `another file is one, and the error names it`() async throws {
    try await withTemporaryDirectory { directory in
      try fileSystem.makeDirectory(directory + "/lost+found")
      try fileSystem.makeDirectory(directory + "/letters")
      let error = #expect(throws: LogError.self) { try LogDirectory.exists(fileSystem, LogPaths(directory)) }
      #expect(error?.code == .notALog && error?.message.contains("letters") == true)
    }
  }

  @Test("missing directories of cursors and of what was kept are made at opening, one of segments is not")
  func restored() async throws {
    try await withTemporaryDirectory { directory in
      let paths = LogPaths(directory + "/log")
      try await Log.open(at: paths.root).close()
      for path in [paths.cursors, paths.quarantine] { try remove(path) }
      let log = try await Log.open(at: paths.root)
      let cursor = try await log.cursor(named: "shop")
      #expect(cursor.state.committed == .zero)
      try await log.close()
      #expect(try fileSystem.list(paths.root).filter { ["cursors", "quarantine"].contains($0) }.count == 2)
      for name in try fileSystem.list(paths.data) { try fileSystem.remove(paths.data + "/" + name) }
      try remove(paths.data)
      await #expect(throws: LogError.self) { try await Log.open(at: paths.root).close() }
    }
  }

  @Test func `a reader that takes a cursor, or begins a replay, makes the missing directory`() async throws {
    try await withTemporaryDirectory { directory in
      let paths = LogPaths(directory + "/log")
      let log = try await Log.open(at: paths.root)
      try await log.append(contentsOf: [Array("one".utf8)])
      try await log.close()
      try remove(paths.cursors)
      let reader = try await LogReader.open(at: paths.root)
      #expect(try await reader.replays().isEmpty)
      #expect(try reader.cursorNames().isEmpty)
      #expect(try await reader.cursor(named: "shop").state.committed == .zero)
      reader.close()
      #expect(try fileSystem.list(paths.cursors).sorted() == ["large.slots", "slots.lock", "small.slots"])
      try remove(paths.cursors)
      try ReplayManifestStore.create(fileSystem, paths, logID: [UInt8](repeating: 7, count: 16), replay("june"))
      #expect(try ReplayManifestStore.ids(fileSystem, paths) == ["june"])
    }
  }

  @Test func `a directory that was made again is durable, and what is in it with it`() throws {
    let paths = LogPaths("/log")
    let disk = SimulatedFileSystem()
    try disk.makeDirectory(paths.root)
    try disk.synchronizeDirectory("/")
    try LogDirectory.restore(disk, paths)
    #expect(try disk.powerCut(.nothingUnsynced).list(paths.root).sorted() == ["cursors", "quarantine"])
    let other = SimulatedFileSystem()
    try other.makeDirectory(paths.root)
    try other.synchronizeDirectory("/")
    let logID = [UInt8](repeating: 7, count: 16)
    let held = try CursorStore.hold(other, paths, logID: logID, name: "shop", startingAt: Offset(3))
    held.close()
    let after = other.powerCut(.nothingUnsynced)
    #expect(try CursorStore.peek(after, paths, name: "shop").committed == Offset(3))
  }

  private func remove(_ directory: String) throws {
    for name in try fileSystem.list(directory) { try fileSystem.remove(directory + "/" + name) }
    #expect(rmdir(directory) == 0)
  }
}

@Suite("Errors of the system")
struct SystemErrorWordsTests {
  @Test(
    "every number has words, and none stands alone",
    arguments: [1, 2, 5, 11, 24, 28, 36, 40, 75, 95, 110, 116] as [Int32])
  func words(number: Int32) {
    let words = FileSystemError.Code(errno: number).explanation
    #expect(words.contains { $0.isLetter } && !words.hasPrefix("error ") && !words.contains("\(number)"), "\(words)")
    #expect(words.first?.isLowercase == true, "\(words)")
  }
}
