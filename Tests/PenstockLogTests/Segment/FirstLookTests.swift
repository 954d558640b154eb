import PenstockTestKit
import Testing

@testable import PenstockLog

/// What a first look into a segment asks the disk for.
@Suite struct FirstLookTests {
  private let size: UInt64 = 64 << 20
  private let header: Range<UInt64> = 0..<8_192
  private var index: Range<UInt64> { (size - (128 << 10))..<size }

  @Test func `the header, the index, and the block where it lies if all are alike`() {
    #expect(FirstLook().ranges(fileBytes: size) == [header, index])
    let middle = FirstLook(at: Offset(1_500), in: Offset(1_000), Offset(2_000)).ranges(fileBytes: size)
    let place: UInt64 = 8_192 + ((64 << 20) - 8_192 - (64 << 10)) / 2
    #expect(middle == [header, index, (place - (64 << 10))..<(place + (64 << 10))])
  }

  @Test func `nothing is asked for twice, before the first block or behind the file`() {
    for offset in 0..<1_000 {
      let look = FirstLook(at: Offset(UInt64(offset)), in: .zero, Offset(1_000))
      let ranges = look.ranges(fileBytes: size)
      #expect(ranges.prefix(2) == [header, index])
      for block in ranges.dropFirst(2) {
        #expect(block.lowerBound >= 8_192 && block.upperBound <= index.lowerBound)
        #expect(block.count <= 128 << 10)
      }
    }
    let first = FirstLook(at: .zero, in: .zero, Offset(1_000)).ranges(fileBytes: size)
    #expect(first == [header, index, 8_192..<(8_192 + (64 << 10))])
  }

  @Test func `a small file, and an offset of another segment, ask for less`() {
    let look = FirstLook(at: Offset(7), in: .zero, Offset(10))
    for bytes: UInt64 in [0, 1, 8_192, 8_192 + (128 << 10)] { #expect(look.ranges(fileBytes: bytes).isEmpty) }
    #expect(look.ranges(fileBytes: 8_193 + (128 << 10)).count == 2, "all of it is the index's")
    for offset: UInt64 in [9, 20, 21] {
      #expect(FirstLook(at: Offset(offset), in: Offset(10), Offset(20)).ranges(fileBytes: size) == [header, index])
    }
    // So near the end that what is read for the index may hold the place.
    let far = FirstLook(at: Offset(.max - 1), in: Offset(.max - 1_000_000), Offset(.max)).ranges(fileBytes: size)
    #expect(far.last?.upperBound == index.lowerBound)
  }

  @Test func `in a log of alike records the block is within what was asked for`() throws {
    var log = TestLog()
    log.configuration.segmentBytes = 4 << 20
    let writer = try log.openWriter()
    var random = SplitMix64(seed: 3)
    while log.segments.count < 2 {
      // What hardly compresses.
      try writer.commit((0..<20).map { _ in (0..<2_000).map { _ in UInt8(33 + random.below(90)) } })
    }
    let set = writer.view.set
    let (name, end) = (set.segments[0].name, set.end(ofSegmentAt: 0))
    for tenth in 0..<10 {
      let noting = GatedFileSystem(log.disk)
      let segment = Segment(noting, name, path: log.segments[0])
      let offset = Offset(end.rawValue * UInt64(tenth) / 10)
      let entry = try #require(try segment.search(offset, upTo: end, isFull: true).found)
      let asked = noting.expected.dropFirst(2)
      #expect(
        asked.contains { $0.lowerBound <= entry.position && entry.endPosition <= $0.upperBound }
          || entry.endPosition > noting.expected[1].lowerBound, "\(entry) of \(noting.expected)")
    }
    // The newest goes on: nobody knows how far, so where its blocks lie neither.
    let noting = GatedFileSystem(log.disk)
    let segment = Segment(noting, name, path: log.segments[0])
    _ = try segment.search(.zero, upTo: end, isFull: false)
    #expect(noting.expected.count == 2)
  }
}
