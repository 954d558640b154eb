@testable import PenstockLog
import PenstockTestKit
import Testing

/// Sectors of a segment's header that cannot be read, as long as that lasts: either copy alone is enough.
@Suite struct HeaderCopiesTests {
  /// A closed log of three segments, and how many records it has.
  private func image() throws -> (image: TestLog, count: Int) {
    let log = TestLog()
    let writer = try log.openWriter()
    let count = try log.commit(to: writer, segments: 3, divisibleBy: 3)
    try writer.close()
    return (log.killed(), count)
  }

  private func makeUnreadable(_ image: TestLog, segment: Int, copy: Int) throws {
    try #require(image.disk.makeUnreadable(image.segments[segment], at: copy * SegmentHeader.pageSize + 1024))
  }

  @Test(arguments: 0..<3, 0..<2)
  func `one copy that cannot be read costs no record, and is told`(segment: Int, copy: Int) throws {
    let (image, count) = try image()
    try #require(try image.problems().isEmpty)
    try makeUnreadable(image, segment: segment, copy: copy)
    let told = try image.problems()
    #expect(told.map(\.position) == [UInt64(copy * SegmentHeader.pageSize)])
    #expect(told.first?.path == image.segments[segment])
    #expect(told.first?.message.contains("copy \(copy) of the header cannot be read") == true)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .clean)
    #expect(try Reading(writer.view).inOrder == records(0..<count))
    #expect(try writer.commit(record(count)).lowerBound == Offset(UInt64(count)))
  }

  /// What cannot be read today may be there tomorrow: no gap is told, and nobody may take it for one.
  @Test(arguments: 0..<3, 0..<3)
  func `where no copy can be had and one may be whole, it is an error, no damage`(segment: Int, flipped: Int) throws {
    let (image, count) = try image()
    for copy in 0..<2 where copy != flipped { try makeUnreadable(image, segment: segment, copy: copy) }
    if flipped < 2 {
      try #require(image.disk.flipBit(image.segments[segment], at: flipped * SegmentHeader.pageSize + 90, bit: 0))
    }
    let error = #expect(throws: LogError.self) {
      let writer = try image.openWriter()
      #expect(segment < 2, "the newest segment's header says where to go on")
      #expect(writer.recovery.outcome == .clean && writer.recovery.gaps.isEmpty)
      var offset = Offset.zero
      while let batch = try writer.view.batch(from: offset, maxRecords: count, maxBytes: 1 << 20) { offset = batch.end }
    }
    #expect(error?.code == .io && error?.gap == nil)
    #expect(error?.description.contains("the segment's header") == true)
    let told = try image.problems()
    #expect(told.isEmpty == false)
  }
}
