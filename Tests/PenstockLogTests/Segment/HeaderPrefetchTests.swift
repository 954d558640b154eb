@testable import PenstockLog
import PenstockTestKit
import Testing

/// What a walk over block headers asks the disk for.
@Suite struct HeaderPrefetchTests {
  @Test func `a stretch is asked for before the walk gets there, and once`() {
    var random = SplitMix64(seed: 7)
    var ahead = HeaderPrefetch()
    var asked: [Range<UInt64>] = []
    var position: UInt64 = 8_192
    while position < 200 << 20 {
      if let range = ahead.next(at: position) { asked.append(range) }
      // The header that is looked at now.
      #expect(asked.last.map { $0.upperBound >= position + 4_096 } == true)
      position += UInt64(1 + random.below(16)) * 4_096
    }
    #expect(asked.first?.lowerBound == 8_192)
    #expect(zip(asked, asked.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(asked.count < 40, "a call for each few blocks would cost what it saves")
  }

  @Test func `a segment with three blocks costs little`() {
    var ahead = HeaderPrefetch()
    let asked = [8_192, 12_288, 16_384, 20_480].compactMap { ahead.next(at: $0) }
    #expect(asked == [8_192..<(8_192 + HeaderPrefetch.first)])
  }

  @Test func `a block larger than a stretch leaves out what lies in it`() {
    var ahead = HeaderPrefetch()
    _ = ahead.next(at: 0)
    #expect(ahead.next(at: 100 << 20)?.lowerBound == 100 << 20)
  }

  @Test func `the walk over a segment without an index asks for all of it`() throws {
    let log = TestLog()
    let writer = try log.openWriter(committing: 0..<9)
    let noting = GatedFileSystem(log.disk)
    let segment = Segment(noting, try #require(writer.view.set.segments.last).name, path: try log.newestSegment)
    #expect(try segment.entries(upTo: Offset(9)).count == 9)
    #expect(noting.expected == [8_192..<(8_192 + HeaderPrefetch.first)])
  }

  @Test func `who looks into a segment that was left asks for its index beside its header`() throws {
    var log = TestLog()
    log.configuration.segmentBytes = 256 << 10
    let writer = try log.openWriter()
    try log.commit(to: writer, segments: 2)
    let noting = GatedFileSystem(log.disk)
    let name = try #require(writer.view.set.segments.first).name
    let path = try #require(log.segments.first)
    let size = UInt64(try log.contents(path).count)
    let segment = Segment(noting, name, path: path)
    #expect(try segment.entries(upTo: Offset(1)).count > 10)
    #expect(noting.expected == [0..<8192, (size - (128 << 10))..<size])
  }
}
