@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct CursorPauseTests {
  private let paths = TestLog.paths

  private func set(_ pause: CursorPause?, _ disk: SimulatedFileSystem) throws(LogError) {
    try CursorStore.setPause(pause, disk, paths, name: "c")
  }

  private func pause(_ disk: SimulatedFileSystem) throws(LogError) -> CursorPause? {
    try CursorStore.pause(disk, paths, name: "c")
  }

  private let some = CursorPause(since: Timestamp(nanoseconds: 7), reason: "bucket\nmoves – π")

  @Test func `a pause stands until it is taken off, and the first one stands`() throws {
    let disk = try logDirectory()
    #expect(try pause(disk) == nil)
    try set(nil, disk)
    try set(some, disk)
    try set(CursorPause(since: Timestamp(nanoseconds: 8), reason: "again"), disk)
    #expect(try pause(disk) == CursorPause(since: Timestamp(nanoseconds: 7), reason: "bucket moves – π"))
    #expect(try CursorStore.names(disk, paths).isEmpty)
    try set(nil, disk)
    #expect(try pause(disk) == nil)
  }

  @Test func `a reason is one line that fits`() {
    #expect(CursorPause(since: nil, reason: String(repeating: "é\n", count: 300)).reason.utf8.count <= 256)
    #expect(CursorPause(since: nil, reason: "a\r\nb").reason == "a b")
  }

  @Test(arguments: [
    "", "penstock pause 1\n", "penstock pause 1\nsince x\nreason y\n", "penstock pause 2\nsince 1\nreason y\n",
  ])
  func `a file that says nothing is a pause all the same`(content: String) throws {
    let disk = try logDirectory()
    let file = try disk.open("/log/cursors/c.paused", .create)
    try Array(content.utf8).withUnsafeBytes { bytes in try disk.writeAll(file, bytes, at: 0) }
    disk.close(file)
    #expect(try pause(disk) == CursorPause(since: nil))
  }

  @Test func `a power cut leaves the pause or none, and what was told stays`() throws {
    for isResuming in [false, true] {
      var (stop, isTold) = (0, false)
      while !isTold {
        stop += 1
        let disk = try logDirectory()
        if isResuming { try set(some, disk) }
        disk.crash(atIO: disk.ioCount + stop)
        do throws(LogError) {
          try set(isResuming ? nil : some, disk)
          isTold = true
        } catch {
          isTold = false
        }
        for seed in 0..<8 as Range<UInt64> {
          let found = try pause(disk.powerCut(.seeded(seed)))
          if isTold { #expect((found == nil) == isResuming, "I/O \(stop), seed \(seed)") }
        }
        #expect(try !isTold || (pause(disk.powerCut(.nothingUnsynced)) == nil) == isResuming)
      }
      #expect(stop > 2)
    }
  }

  @Test func `a pause whose name has no room is none, and one whose words have none does without`() throws {
    let disk = try logDirectory()
    // Creation, then the write.
    disk.fail(atIO: disk.ioCount + 1, .noSpace)
    #expect(try code { try set(some, disk) } == .noSpace && pause(disk) == nil)
    disk.fail(atIO: disk.ioCount + 2, .noSpace)
    try set(some, disk)
    #expect(try pause(disk) == CursorPause(since: nil))
  }
}
