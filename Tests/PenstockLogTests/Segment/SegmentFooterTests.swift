@testable import PenstockLog
import PenstockTestKit
import Testing

/// The index after the blocks of a complete segment: always there, never needed, never believed against the blocks.
@Suite struct SegmentFooterTests {
  /// A log of two segments, so many blocks of two records in the first, three in the second; killed.
  private func image(_ blocks: Int = 14) throws -> TestLog {
    let (test, writer) = try TestLog.written { $0.segmentBytes = 8192 + blocks * 4096 }
    for number in 0..<(blocks + 3) {
      var batch = RecordBatch()
      batch.append(record(2 * number), eventTime: Timestamp(nanoseconds: Int64(number * 7 % 11)))
      batch.append(record(2 * number + 1))
      try writer.commit(batches: batch)
    }
    try #require(test.segments.count == 2)
    return test.killed()
  }

  private func segment(_ image: TestLog, _ path: String? = nil) throws -> (
    path: String, segment: Segment, header: SegmentHeader
  ) {
    let path = try path ?? #require(image.segments.first)
    let header = try image.contents(path).withUnsafeBytes { try SegmentHeader(decoding: $0) }
    return (path, Segment(image.disk, header.name, path: path), header)
  }

  /// The index as the blocks themselves tell it.
  private func walked(_ image: TestLog, upTo end: Offset) throws -> [BlockEntry] {
    let (path, _, header) = try segment(image)
    let file = OpenFile(image.disk, try image.disk.open(path, .readOnly))
    return try withExtendedLifetime(file) {
      let scanner = SegmentScanner(image.disk, file.handle, header)
      var cursor = SegmentScanner.ScanPosition(startOf: header)
      var entries: [BlockEntry] = []
      while cursor.offset < end, case .block(let block, let next) = try scanner.look(at: cursor, proving: true) {
        entries.append(BlockEntry(block))
        cursor = next
      }
      return entries
    }
  }

  private func ends(_ image: TestLog) throws -> (blocks: Int, file: Int, offset: Offset) {
    let last = try #require(try walked(image, upTo: Offset(.max)).last)
    return (Int(last.endPosition), try image.contents(image.segments[0]).count, last.endOffset)
  }

  @Test func `a segment that was left ends in the index that its blocks tell, found with two reads`() throws {
    let image = try image()
    let (path, segment, header) = try segment(image)
    let end = try ends(image)
    #expect(end.file > end.blocks && end.offset == Offset(28))
    let before = image.disk.readCount
    let entries = try segment.entries(upTo: end.offset)
    #expect(image.disk.readCount - before == 2, "the header, the index")
    #expect(entries == (try walked(image, upTo: end.offset)))
    #expect(entries.contains { $0.eventTimes != nil } && entries.allSatisfy { $0.rawLength > 0 })
    let tail = Array(try image.contents(path)[end.blocks...])
    #expect(tail == SegmentFooter.encoded(entries, at: UInt64(end.blocks), header))
    #expect(try segment.isWhole())
    // The newest has none: it goes on.
    let (newest, _, newestHeader) = try self.segment(image, image.newestSegment)
    let file = OpenFile(image.disk, try image.disk.open(newest, .readOnly))
    let found = try SegmentFooter.read(image.disk, file.handle, newestHeader)
    withExtendedLifetime(file) {}
    #expect(found == nil)
    #expect(try image.problems().isEmpty)
  }

  private func withoutRawLength(_ entry: BlockEntry) -> BlockEntry {
    var entry = entry
    entry.rawLength = 0
    return entry
  }

  @Test func `whatever becomes of the index, reading finds every record`() throws {
    let image = try image()
    let (path, end) = (image.segments[0], try ends(image))
    let whole = try image.contents(path)
    let expected = try walked(image, upTo: end.offset)
    for position in end.blocks..<end.file {
      for bit in [0, 5] {
        var bytes = whole
        bytes[position] ^= UInt8(1 << bit)
        image.disk.install(path, bytes)
        let found = try segment(image).segment.entries(upTo: end.offset)
        // What the seek table says of raw lengths has no checksum.
        if found.map(withoutRawLength) != expected.map(withoutRawLength) {
          Issue.record("byte \(position), bit \(bit)")
        }
      }
    }
    for length in stride(from: end.blocks, to: end.file, by: 13) {
      image.disk.install(path, Array(whole[..<length]))
      let found = try segment(image).segment.entries(upTo: end.offset)
      if found != expected { Issue.record("cut to \(length) bytes") }
    }
  }

  @Test(arguments: [false, true])
  func `an index that cannot be read costs nothing, a sector of blocks costs those alone`(isSealed: Bool) throws {
    var log = TestLog()
    var settings = SealingSettings()
    settings.blockBytes = 4 << 10
    log.configuration.sealing = .settings(settings)
    log.configuration.segmentBytes = 256 << 10
    var random = SplitMix64(seed: 7)
    var written: [[UInt8]] = []
    var writer = try log.openWriter()
    while writer.segmentCount == 1 {
      written.append(random.bytes(700))
      try writer.commit(written[written.count - 1])
    }
    if isSealed { try #require(try writer.sealAll().allSatisfy { $0.seal != nil }) }
    try writer.close()
    let end = try ends(log)
    let (path, _, header) = try segment(log)
    try #require(header.isSealed == isSealed)
    let blocks = try walked(log, upTo: end.offset)
    let index = (end.blocks + 511) / 512 * 512
    try #require(index + 512 <= end.file && blocks.count > 5)
    // So near to the end that what is read there at first reaches over it: within one block, and the header of another.
    let block = try #require(blocks.dropLast(2).last { ($0.position + 1024) / 512 < $0.endPosition / 512 })
    let struck = blocks[blocks.count - 3]
    let sector = struck.position / 512 * 512
    let beside = blocks.filter { $0.position < sector + 512 && sector < $0.endPosition }
    for (position, lost) in [(index, []), (Int(block.position + 1024), [block]), (Int(struck.position), beside)] {
      let image = log.killed()
      try #require(image.disk.makeUnreadable(path, at: position))
      writer = try image.openWriter()
      #expect(writer.recovery.outcome == .clean)
      let survey = try LogSurvey(image.inspector())
      #expect(try survey.distance(from: .zero).isExact == (position != index))
      for (number, bytes) in written.enumerated() {
        let offset = Offset(UInt64(number))
        let isLost = lost.contains { $0.baseOffset <= offset && offset < $0.endOffset }
        do throws(LogError) {
          let batch = try writer.view.batch(from: offset, maxRecords: 1, maxBytes: 1 << 20)
          #expect(recordBytes(batch) == [bytes] && !isLost, "\(offset)")
        } catch {
          #expect(error.gap?.reason == .unreadable && isLost, "\(offset): \(error)")
        }
      }
    }
  }

  @Test func `an index with a block beyond the last offset is none, though its checksum holds`() throws {
    let image = try image()
    let (path, _, header) = try segment(image)
    func read(recordsBeforeTheLast left: UInt64) throws -> SegmentFooter.Index? {
      var forged = header
      forged.baseOffset = Offset(.max - left)
      var block = BlockHeader()
      block.position = UInt64(SegmentHeader.size)
      block.baseOffset = forged.baseOffset
      block.recordCount = 4
      block.storedLength = 100
      let end = block.endPosition
      let footer = SegmentFooter.encoded([BlockEntry(block)], at: end, forged)
      image.disk.install(path, [UInt8](repeating: 0, count: Int(end)) + footer)
      let file = OpenFile(image.disk, try image.disk.open(path, .readOnly))
      return try withExtendedLifetime(file) { try SegmentFooter.read(image.disk, file.handle, forged) }
    }
    #expect(try read(recordsBeforeTheLast: 4)?.blocks.map(\.count) == [4])
    #expect(try read(recordsBeforeTheLast: 3) == nil)
  }

  @Test func `an index that is intact and lies is found out by the blocks`() async throws {
    let image = try image()
    let (path, _, header) = try segment(image)
    let end = try ends(image)
    let blocks = try walked(image, upTo: end.offset)
    let whole = Array(try image.contents(path)[..<end.blocks])
    /// The same index with two neighbours that share their room otherwise.
    func lie(_ at: Int, _ change: (inout BlockHeader, inout BlockHeader) -> Void) -> [UInt8] {
      var headers = blocks.map { entry in
        var header = BlockHeader()
        header.position = entry.position
        header.baseOffset = entry.baseOffset
        header.recordCount = entry.count
        header.paddingLength = entry.frontLength - BlockFormat.headerSize
        header.storedLength = entry.storedLength
        header.rawLength = entry.rawLength
        header.appendTime = entry.appendTime
        return header
      }
      var (a, b) = (headers[at], headers[at + 1])
      change(&a, &b)
      (headers[at], headers[at + 1]) = (a, b)
      return SegmentFooter.encoded(headers.map(BlockEntry.init), at: UInt64(end.blocks), header)
    }
    let lies = [
      lie(3) { a, b in
        a.recordCount += 1
        b.baseOffset = b.baseOffset + 1
        b.recordCount -= 1
      },
      lie(0) { a, b in
        a.paddingLength += 4096
        b.position += 4096
        b.paddingLength -= 4096
      },
      lie(12) { a, b in swap(&a.storedLength, &b.storedLength) },
    ]
    for (number, lie) in lies.enumerated() {
      image.disk.install(path, whole + lie)
      for offset in [0, 7, 9, 24, 27] as [UInt64] {
        let reader = try await image.openReader()
        let batch = try #require(
          try reader.view.batch(from: Offset(offset), maxRecords: 1, maxBytes: 100), "lie \(number)")
        #expect(batch.first == Offset(offset))
        let reading = try Reading(reader.view)
        #expect(reading.gaps.isEmpty && reading.inOrder == records(0..<34), "lie \(number)")
      }
    }
  }

  @Test func `damage is the same gap with an index and without`() async throws {
    let image = try image()
    let (path, end) = (image.segments[0], try ends(image))
    let whole = try image.contents(path)
    for block in 0..<14 {
      for place in [30, 4090] {
        var bytes = whole
        bytes[8192 + block * 4096 + place] ^= 4
        var found: [Reading] = []
        for length in [end.file, end.blocks] {
          image.disk.install(path, Array(bytes[..<length]))
          found.append(try Reading(try await image.openReader().view))
        }
        #expect(found[0] == found[1], "block \(block), byte \(place)")
        #expect(found[0].lost == [Offset(UInt64(2 * block)), Offset(UInt64(2 * block + 1))])
      }
    }
  }

  /// The next segment is gone without a trace. The one before is the newest, with an index, or what a crash left of it.
  @Test(arguments: 0..<12 as Range<UInt64>)
  func `where the next segment is lost, an index or a part of it is not taken for records`(seed: UInt64) throws {
    var image = try image(126)
    image.configuration.strictRecovery = true
    // Its room is not used up for the next blocks, as where a large one made it roll.
    image.configuration.segmentBytes = 1 << 20
    let (path, end) = (image.segments[0], try ends(image))
    var random = SplitMix64(seed: seed)
    var bytes = try image.contents(path)
    for sector in stride(from: end.blocks, to: end.file, by: 512) where seed > 0 && random.below(2) == 0 {
      for position in sector..<min(sector + 512, end.file) { bytes[position] = 0 }
    }
    if seed % 3 == 2 { bytes += [UInt8](repeating: 0, count: 20_000) }
    image.disk.install(path, bytes)
    try image.remove(image.newestSegment)
    try image.remove(TestLog.paths.commitPoint)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .clean && writer.recovery.gaps.isEmpty && image.quarantine.isEmpty)
    #expect(writer.end == Offset(252))
    #expect(try Reading(writer.view).inOrder == records(0..<252))
    // Nothing of it, which takes three pages, is left behind what is appended now, and the log goes on.
    for number in 252..<256 {
      try writer.commit(record(number))
      for later in [image.killed(), image.afterPowerCut(.everything)] {
        let again = try later.openWriter()
        #expect(again.recovery.outcome == .clean, "after record \(number)")
        #expect(try Reading(again.view).inOrder == records(0..<(number + 1)))
      }
    }
  }

  @Test func `bytes that are no part of an index are not passed over`() throws {
    var image = try image()
    let (path, end) = (image.segments[0], try ends(image))
    try #require(image.disk.flipBit(path, at: end.blocks + 100, bit: 1))
    let other = image.killed()
    try image.remove(image.newestSegment)
    try image.remove(TestLog.paths.commitPoint)
    let writer = try image.openWriter()
    #expect(writer.recovery.rule == "undecidable" && image.quarantine.count == 1 && writer.end == Offset(28))
    #expect(try Reading(writer.view).inOrder == records(0..<28))
    image = other
    let problems = try image.problems(.contents)
    #expect(problems.count == 1)
    image.configuration.sealing = .settings(SealingSettings())
    #expect(try image.openWriter().sealAll().map(\.isLeft) == [true], "evidence stays where it is")
  }

  @Test func `a segment with an index, or with a part of one, is sealed`() throws {
    for cut in [0, 1] {
      var image = try image()
      let (path, end) = (image.segments[0], try ends(image))
      if cut == 1 { image.disk.install(path, Array(try image.contents(path)[..<(end.blocks + 512)])) }
      image.configuration.sealing = .settings(SealingSettings())
      #expect(try image.problems().isEmpty)
      let writer = try image.openWriter()
      #expect(try writer.sealAll().allSatisfy { $0.seal != nil })
      #expect(try Reading(writer.view).inOrder == records(0..<34))
    }
  }

  @Test func `a remainder is the bytes expected, or zeros, and zeros behind`() {
    let expected: [UInt8] = [1, 2, 3, 4]
    func isRemainder(_ found: [UInt8]) -> Bool {
      found.withUnsafeBytes { found in expected.withUnsafeBytes { SegmentFooter.isRemainder(found, of: $0) } }
    }
    for mask in 0..<16 {
      #expect(isRemainder(expected.indices.map { mask & 1 << $0 != 0 ? expected[$0] : 0 }))
    }
    for found in [[], [1], [0, 2], [1, 2, 3, 4, 0, 0]] as [[UInt8]] { #expect(isRemainder(found)) }
    for found in [[2], [1, 2, 3, 5], [0, 0, 0, 0, 1], [1, 2, 3, 4, 4]] as [[UInt8]] { #expect(!isRemainder(found)) }
  }

  @Test func `a disk without room for the index costs nothing but the index`() throws {
    var without = 0
    for number in 1...24 {
      let test = TestLog()
      let writer = try test.openWriter(committing: 0..<14)
      try writer.preparer.prepare()
      // The next commit rolls; one of what it writes is the index.
      let before = test.disk.ioCount
      test.disk.fail(atIO: before + number, .noSpace)
      guard (try? writer.commit(record(14))) != nil, test.disk.ioCount >= before + number, test.segments.count == 2
      else {
        continue
      }
      test.disk.clearFaults()
      #expect(try Reading(writer.view).inOrder == records(0..<15))
      let again = try test.killed().openWriter()
      #expect(again.recovery.outcome == .clean)
      #expect(try Reading(again.view).inOrder == records(0..<15))
      if try test.contents(test.segments[0]).count == 8192 + 14 * 4096 { without += 1 }
    }
    #expect(without == 1, "exactly one of them is the index")
  }
}
