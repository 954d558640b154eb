import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

/// A real file system that is really full: `scripts/test-full-disk` mounts one and names it.
@Suite(
  .serialized, .timeLimit(.minutes(2)),
  .enabled(
    if: ProcessInfo.processInfo.environment["PENSTOCK_SMALL_DISK"] != nil,
    "PENSTOCK_SMALL_DISK names no small file system; scripts/test-full-disk mounts one (as root)"))
struct SmallDiskTests {
  /// An empty folder on the small disk, and how to fill what is left of it.
  private func withFolder(_ body: (String, Ballast) async throws -> Void) async throws {
    let disk = try #require(ProcessInfo.processInfo.environment["PENSTOCK_SMALL_DISK"])
    let folder = disk + "/" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder + "/log", Ballast(path: folder + "/ballast"))
  }

  /// Takes the room that is left.
  private struct Ballast {
    let path: String

    func load() throws {
      try #require(FileManager.default.createFile(atPath: path, contents: nil))
      let file = try #require(FileHandle(forWritingAtPath: path))
      for size in [1 << 20, 4096, 1] {
        let bytes = Data(repeating: 1, count: size)
        while (try? file.write(contentsOf: bytes)) != nil {}
      }
      try file.close()
    }

    func drop() throws { try FileManager.default.removeItem(atPath: path) }
  }

  private func configuration(_ whenFull: WhenFull) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 256 << 10
    configuration.blockBytes = 16 << 10
    configuration.whenFull = whenFull
    return configuration
  }

  /// What does not compress.
  private func noise(_ random: inout SplitMix64) -> [[UInt8]] { [random.bytes(20_000)] }

  @Test func `appends are refused, cursors commit, an opening succeeds, and it all goes on with room`() async throws {
    try await withFolder { path, ballast in
      var random = SplitMix64(seed: 1)
      var appended: [[UInt8]] = []
      var log = try await Log.open(at: path, configuration: configuration(.fail))
      let cursor = try await log.cursor(named: "c")
      appended += noise(&random)
      try await log.append(batch(appended))
      try ballast.load()
      var refused = 0
      while refused < 3 {
        let records = noise(&random)
        do throws(LogError) {
          try await log.append(batch(records))
          #expect(refused == 0)
          appended += records
        } catch {
          #expect(error.code == .noSpace)
          refused += 1
        }
      }
      let next = try #require(try await cursor.next())
      try await cursor.commit(next)
      #expect(try Reading(log.view).inOrder == appended)
      try await log.close()
      log = try await Log.open(at: path, configuration: configuration(.fail))
      #expect(log.recovery.outcome == .clean && log.end == Offset(UInt64(appended.count)))
      try ballast.drop()
      for _ in 0..<20 {
        let records = noise(&random)
        try await log.append(batch(records))
        appended += records
      }
      try await log.close()
      log = try await Log.open(at: path)
      #expect(try Reading(log.view).inOrder == appended)
      #expect(try await log.cursor(named: "c").state.committed == next.end)
      try await log.close()
    }
  }

  @Test func `appends that wait go on when retention has made room`() async throws {
    try await withFolder { path, ballast in
      var random = SplitMix64(seed: 2)
      var limited = configuration(.wait)
      limited.retention = RetentionPolicy(maxBytes: limited.segmentBytes)
      let log = try await Log.open(at: path, configuration: limited)
      let cursor = try await log.cursor(named: "c")
      for _ in 0..<30 { try await log.append(batch(noise(&random))) }
      try ballast.load()
      var target = log.end + 40
      // More than was filled ahead.
      let appending = Task { [random] in
        var random = random
        for _ in 0..<40 { try await log.append(batch(noise(&random))) }
      }
      while try await !log.tryAppendIsRefused() { target = target + 1 }
      #expect(log.end < target && log.first == .zero)
      // The cursor goes on with the log, and each commit lets retention make room again.
      while log.end < target {
        try await cursor.commit(try #require(try await cursor.next()))
        try await log.trim()
      }
      try await appending.value
      #expect(log.first > .zero)
      try await log.close()
    }
  }
}

extension Log {
  /// Whether the disk is so full that appends wait.
  fileprivate func tryAppendIsRefused() async throws -> Bool {
    do throws(LogError) {
      try await tryAppend(batch([[UInt8](repeating: 7, count: 9)]))
      return false
    } catch {
      #expect(error.code == .noSpace || error.code == .overloaded)
      return error.code == .noSpace
    }
  }
}
