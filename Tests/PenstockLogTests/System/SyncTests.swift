import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

/// Syncs that no other test misses: what each of them keeps over a power cut.
@Suite struct SyncTests {
  private let paths = TestLog.paths

  @Test func `an orderly close makes durable what was written`() throws {
    let (test, writer) = try TestLog.written()
    _ = try writer.write([batch(records(0..<3))])
    try writer.close()
    #expect(try Reading(test.afterPowerCut().openWriter().view).inOrder == records(0..<3))
  }

  @Test func `a pause keeps its words`() throws {
    let disk = try logDirectory()
    let pause = CursorPause(since: Timestamp(nanoseconds: 7), reason: "bucket moves")
    try CursorStore.setPause(pause, disk, paths, name: "c")
    #expect(try CursorStore.pause(disk.powerCut(.nothingUnsynced), paths, name: "c") == pause)
  }

  @Test func `a replay that was removed stays removed`() throws {
    let disk = try logDirectory()
    try ReplayManifestStore.create(disk, paths, logID: Array(1...16), replay("again"))
    try ReplayManifestStore.remove(disk, paths, id: "again")
    #expect(try ReplayManifestStore.ids(disk.powerCut(.nothingUnsynced), paths).isEmpty)
  }

  @Test func `a snapshot that a full disk asks for counts in durable blocks alone`() throws {
    let (test, writer) = try TestLog.written()
    var sequence: UInt64 = 1
    func write() throws(LogError) {
      _ = try writer.write([batch([record(Int(sequence))], of: "a", sequence)])
      sequence += 1
    }
    // The second segment begins where there is no room for a snapshot.
    try writer.preparer.prepare()
    test.disk.capacityBytes = 0
    while test.segments.count < 2 { try write() }
    try #require(test.snapshots.isEmpty)
    // Room for a snapshot, none for a segment, and blocks that are not synced.
    test.disk.capacityBytes = test.usedBytes + 2_000
    #expect(code { while true { try write() } } == .noSpace)
    try #require(!test.snapshots.isEmpty)
    let next = test.afterPowerCut()
    next.disk.capacityBytes = nil
    let recovered = try next.openWriter()
    #expect(recovered.recovery.gaps.isEmpty && recovered.durableEnd == writer.end)
    #expect(try recovered.answer("a", sequence) == .append)
  }

  #if os(Linux)
    @Test func `a sync reaches the kernel`() throws {
      let disk = POSIXFileSystem()
      var ends: [Int32] = [-1, -1]
      try #require(pipe(&ends) == 0)
      defer { for end in ends { close(end) } }
      // Neither a pipe nor the directory of a process can be synced.
      #expect(throws: FileSystemError.self) { try disk.synchronize(PenstockLog.OpenFileHandle(rawValue: ends[1])) }
      #expect(throws: FileSystemError.self) { try disk.synchronizeDirectory("/proc/self") }
    }
  #endif
}
