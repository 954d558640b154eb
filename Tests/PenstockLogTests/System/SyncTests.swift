@testable import PenstockLog
import PenstockTestKit
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Syncs that no other test misses: what each of them keeps over a power cut.
@Suite struct SyncTests {
  private let paths = LogPaths("/log")

  private func disk() throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    try LogDirectory.create(disk, paths)
    return disk
  }

  @Test func `an orderly close makes durable what was written`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
    _ = try writer.write([batch(records(0..<3))])
    try writer.close()
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<3))
  }

  @Test func `a pause keeps its words`() throws {
    let disk = try disk()
    let pause = CursorPause(since: Timestamp(nanoseconds: 7), reason: "bucket moves")
    try CursorStore.setPause(pause, disk, paths, name: "c")
    #expect(try CursorStore.pause(disk.powerCut(.nothingUnsynced), paths, name: "c") == pause)
  }

  @Test func `a replay that was removed stays removed`() throws {
    let disk = try disk()
    let logID = [UInt8](1...16)
    let manifest = ReplayManifest(
      id: "again", from: .beginning, to: .end, first: .zero, end: Offset(9), destination: "directory",
      createdAt: Timestamp(nanoseconds: 5))
    try ReplayManifestStore.create(disk, paths, logID: logID, manifest)
    try ReplayManifestStore.remove(disk, paths, [paths.cursors + "/again.replay"])
    #expect(try ReplayManifestStore.ids(disk.powerCut(.nothingUnsynced), paths).isEmpty)
  }

  @Test func `a snapshot that a full disk asks for counts in durable blocks alone`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
    var sequence: UInt64 = 1
    func write() throws(LogError) {
      var batch = batch([record(Int(sequence))])
      batch.producer = ProducerMark(name: "a", epoch: 1, sequence: sequence, source: [])
      _ = try writer.write([batch])
      sequence += 1
    }
    // The second segment begins where there is no room for a snapshot.
    try writer.preparer.prepare()
    test.disk.capacityBytes = 0
    while test.segments.count < 2 { try write() }
    try #require(test.disk.filePaths.filter { $0.contains("PRODUCERS") }.isEmpty)
    // Room for a snapshot, none for a segment, and blocks that are not synced.
    let used = test.disk.filePaths.reduce(0) { $0 + (test.disk.contents($1)?.count ?? 0) }
    test.disk.capacityBytes = used + 2_000
    let code = #expect(throws: LogError.self) { while true { try write() } }?.code
    #expect(code == .noSpace)
    try #require(test.disk.filePaths.contains { $0.contains("PRODUCERS") })
    let next = test.afterPowerCut()
    next.disk.capacityBytes = nil
    let recovered = try next.openWriter()
    #expect(recovered.recovery.gaps.isEmpty && recovered.durableEnd == writer.end)
    var table = recovered.producers.table
    let epoch = try table.open("a")
    let answer = table.offer("a", epoch: epoch, sequence: sequence)
    #expect(answer == .append)
  }

  #if os(Linux)
    @Test func `a sync reaches the kernel`() throws {
      let disk = POSIXFileSystem()
      var ends: [Int32] = [-1, -1]
      try #require(pipe(&ends) == 0)
      defer { for end in ends { close(end) } }
      // Neither a pipe nor the directory of a process can be synced.
      #expect(throws: FileSystemError.self) { try disk.synchronize(OpenFileHandle(rawValue: ends[1])) }
      #expect(throws: FileSystemError.self) { try disk.synchronizeDirectory("/proc/self") }
    }
  #endif
}
