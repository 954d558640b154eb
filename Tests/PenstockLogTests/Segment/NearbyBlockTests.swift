import PenstockTestKit
import Testing

@testable import PenstockLog

/// A block that is found by its own header, without the index. What the index says is the judge.
@Suite struct NearbyBlockTests {
  /// Full segments of blocks that are alike, or of none like the other.
  private struct Full {
    var log = TestLog()
    var names: [SegmentName] = []
    var ends: [Offset] = []

    init(alike: Bool, seed: UInt64 = 3) throws {
      log.configuration.segmentBytes = 2 << 20
      let writer = try log.openWriter()
      var random = SplitMix64(seed: seed)
      while log.segments.count < 3 {
        let size = alike ? 2_000 : [10, 300, 2_000, 30_000][random.below(4)]
        let isNoise = alike || random.below(2) == 0
        try writer.commit(
          (0..<(alike ? 20 : 1 + random.below(30))).map { _ in
            (0..<size).map { _ in isNoise ? UInt8(33 + random.below(90)) : 120 }
          })
      }
      let set = writer.view.set
      for (index, segment) in set.segments.dropLast().enumerated() {
        names.append(segment.name)
        ends.append(set.end(ofSegmentAt: index))
      }
    }

    func cold(_ index: Int, _ fileSystem: (any FileSystem)? = nil) -> Segment {
      Segment(fileSystem ?? log.disk, names[index], path: log.segments[index])
    }

    func entries(_ index: Int) throws -> [BlockEntry] { try cold(index).entries(upTo: ends[index]) }

    /// What a first look finds, for records of every block: its first, its last, and one between.
    func judge(_ index: Int, against entries: [BlockEntry]) throws {
      for entry in entries {
        for place in Set([0, entry.count / 2, entry.count - 1]) {
          let found = try cold(index).search(entry.baseOffset + place, upTo: ends[index], isFull: true).found
          try #require(
            found?.isSame(as: entry) == true, "\(entry.baseOffset + place): \(String(describing: found)), not \(entry)")
        }
      }
    }
  }

  @Test(arguments: [true, false])
  func `every record is found where the index has it`(alike: Bool) throws {
    let full = try Full(alike: alike)
    for index in full.names.indices { try full.judge(index, against: try full.entries(index)) }
  }

  @Test func `among alike blocks the index is not read, and the second look has it`() throws {
    let full = try Full(alike: true)
    let size = UInt64(try full.log.contents(full.log.segments[0]).count)
    let entries = try full.entries(0)
    let index = size - UInt64(SegmentFooter.guess)
    for entry in entries.dropFirst() where entry.position < index {
      let noting = GatedFileSystem(full.log.disk)
      let segment = full.cold(0, noting)
      _ = try segment.search(entry.baseOffset, upTo: full.ends[0], isFull: true)
      #expect(noting.reads.count <= 3 && !noting.reads.contains { $0 >= index }, "\(entry)")
      #expect(noting.expected.count == 3 && noting.expected.last == index..<size)
      let next = entry.endOffset
      if next < full.ends[0] {
        #expect(try segment.search(next, upTo: full.ends[0], isFull: true).found?.baseOffset == next)
        #expect(noting.reads.contains(index))
        #expect(try segment.entries(upTo: full.ends[0]) == entries)
      }
    }
    #expect(entries.count > 40)
  }

  @Test func `a header that is damaged, or of elsewhere in its place, is not believed`() throws {
    let full = try Full(alike: true)
    let entries = try full.entries(0)
    let path = full.log.segments[0]
    let bytes = try full.log.contents(path)
    func page(_ position: UInt64) -> [UInt8] { Array(bytes[Int(position)..<(Int(position) + BlockFormat.alignment)]) }
    for (number, entry) in entries.enumerated() where number % 5 == 2 {
      // Its own header with one bit changed: the index still says where it is.
      full.log.disk.flipBit(path, at: Int(entry.position) + (number * 7) % BlockFormat.headerSize, bit: number % 8)
      try full.judge(0, against: [entry])
      // The header of its neighbour, and of the same place in another segment, which is as good as any elsewhere.
      let elsewhere = Array(
        try full.log.contents(full.log.segments[1])[Int(entry.position)..<(Int(entry.position) + BlockFormat.alignment)]
      )
      for other in [page(entries[number - 1].position), elsewhere] {
        full.log.disk.overwrite(path, at: Int(entry.position), other)
        try full.judge(0, against: [entry])
      }
      // Within the block before it, whole.
      full.log.disk.overwrite(path, at: Int(entry.position), page(entry.position))
      full.log.disk.overwrite(path, at: Int(entries[number - 1].position) + BlockFormat.alignment, page(entry.position))
      try full.judge(0, against: [entry])
    }
  }

  @Test func `sectors that cannot be read send the search to the index`() throws {
    let full = try Full(alike: true)
    let path = full.log.segments[0]
    let entries = try full.entries(0)
    for entry in entries.enumerated() where entry.offset % 3 == 1 {
      full.log.disk.makeUnreadable(path, at: Int(entry.element.position))
    }
    try full.judge(0, against: entries)
  }

  @Test func `no header behind the records is believed`() throws {
    let full = try Full(alike: true)
    let (file, header) = try full.cold(0).open()
    let scanner = SegmentScanner(file.fileSystem, file.handle, header)
    let last = try #require(try full.entries(0).last)
    let nearby = ColdReadPlan.Neighbourhood(place: last.position, range: 0..<(last.endPosition))
    let all = full.names[0].baseOffset..<full.ends[0]
    #expect(try scanner.block(holding: last.baseOffset, in: nearby, of: all)?.position == last.position)
    #expect(try scanner.block(holding: all.upperBound, in: nearby, of: all) == nil)
    // The segment is said to end before the block does.
    let fewer = all.lowerBound..<Offset(last.endOffset.rawValue - 1)
    #expect(try scanner.block(holding: last.baseOffset, in: nearby, of: fewer) == nil)
  }
}
