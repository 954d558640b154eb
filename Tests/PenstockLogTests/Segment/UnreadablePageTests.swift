@testable import PenstockLog
import PenstockTestKit
import Testing

/// A page of the newest segment that the disk cannot read costs its block. The log opens, takes appends and serves the
/// rest.
@Suite struct UnreadablePageTests {
  private let count = 8

  private func image() throws -> (TestLog, [BlockEntry]) {
    let log = TestLog()
    let writer = try log.openWriter(committing: 0..<count)
    let image = log.killed()
    let entries = try writer.view.set.segments[0].entries(upTo: writer.durableEnd)
    return (image, entries)
  }

  @Test(arguments: [0, 3, 7], [true, false])
  func `the log opens, and all other records are served`(block: Int, inHeader: Bool) throws {
    let (image, entries) = try image()
    let path = try image.newestSegment
    // One sector: of the header, or the last one, in which the payload ends.
    let position = Int(entries[block].position) + (inHeader ? 0 : entries[block].length - 1)
    try #require(image.disk.makeUnreadable(path, at: position))
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .damaged && writer.recovery.cutBytes == 0)
    // Nothing is written into the segment again.
    #expect(image.segments.count == 2)
    let offsets = try writer.commit(record(99))
    #expect(offsets.lowerBound == Offset(UInt64(count)))
    let reading = try Reading(writer.view)
    #expect(reading.lost == [Offset(UInt64(block))])
    #expect(reading.gaps.map(\.reason) == [.unreadable])
    #expect(reading.records.count == count)
    // When the disk reads it again, it is there again.
    image.disk.makeReadable(path)
    let later = try image.killed().openWriter()
    #expect(try Reading(later.view).inOrder == records(0..<count) + [record(99)])
  }

  @Test func `the last block is not cut where the disk cannot read it, whatever else is lost`() throws {
    let (image, entries) = try image()
    let path = try image.newestSegment
    try image.remove(TestLog.paths.commitPoint)
    let last = try #require(entries.last)
    try #require(image.disk.makeUnreadable(path, at: Int(last.position)))
    let writer = try image.openWriter()
    #expect(writer.recovery.rule == "unreadable" && writer.recovery.cutBytes == 0)
    #expect(image.disk.contents(path)?.count ?? 0 >= Int(last.endPosition))
    #expect(image.segments.count == 2)
    #expect(try Reading(writer.view).inOrder == records(0..<(count - 1)))
  }

  @Test func `a page that cannot be read where no block was written costs nothing`() throws {
    let (image, entries) = try image()
    let end = Int(try #require(entries.last).endPosition)
    try #require(image.disk.makeUnreadable(try image.newestSegment, at: end + 8192))
    let writer = try image.openWriter()
    #expect(writer.recovery.gaps.isEmpty)
    #expect(try Reading(writer.view).inOrder == records(0..<count))
    try writer.commit(record(count))
    #expect(try Reading(image.afterPowerCut().openWriter().view).inOrder == records(0..<(count + 1)))
  }

  @Test func `a commit point or a snapshot of producers that cannot be read keeps no log shut`() throws {
    let log = TestLog()
    let writer = try log.openWriter()
    var number = 0
    while log.segments.count < 2 {
      try writer.commit(batches: batch([record(number)], of: "a", UInt64(number + 1)))
      number += 1
    }
    try #require(!log.snapshots.isEmpty)
    for path in [TestLog.paths.commitPoint] + log.snapshots {
      let image = log.killed()
      try #require(image.disk.makeUnreadable(path, at: 0))
      let next = try image.openWriter()
      #expect(try Reading(next.view).inOrder == records(0..<number))
      #expect(next.producers.entry("a")?.last == UInt64(number), "all blocks are there, so all is known: \(path)")
    }
  }

  @Test func `an error of the disk that passes is no gap`() throws {
    let (image, _) = try image()
    let path = try image.newestSegment
    let name = try #require(SegmentName(String(path.split(separator: "/").last ?? "")))
    // As a reader has it that knows nothing yet: the headers of the segment, then of its blocks. The second block's is
    // read twice.
    let segment = Segment(image.disk, name, path: path)
    for read in 3...4 { image.disk.fail(atRead: image.disk.readCount + read) }
    let first = try segment.entries(upTo: Offset(UInt64(count))).count
    let second = try segment.entries(upTo: Offset(UInt64(count))).count
    #expect(first < count && second == count)
  }

  @Test func `a page that cannot be read in an older segment costs its block`() throws {
    let log = TestLog()
    let writer = try log.openWriter()
    let number = try log.commit(to: writer, segments: 3)
    try writer.close()
    let image = log.killed()
    let path = image.segments[0]
    try #require(image.disk.makeUnreadable(path, at: 8192 + 4096))
    let reading = try Reading(image.openWriter().view)
    #expect(reading.lost == [Offset(1)] && reading.gaps.map(\.reason) == [.unreadable])
    #expect(reading.records.count == number - 1)
    let inspector = try image.inspector()
    let problems = inspector.inspect(segmentAt: 0, .contents, after: nil).problems
    #expect(problems.first?.message == "the disk cannot read the block's header")
    #expect(problems.first?.offsets == Offset(1)..<Offset(2))
    // No other record is called lost.
    #expect(problems.dropFirst().allSatisfy { $0.offsets == nil })
  }
}
