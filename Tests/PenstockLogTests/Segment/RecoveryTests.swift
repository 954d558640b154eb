@testable import PenstockLog
import PenstockTestKit
import Testing

/// Opening images whose end is as a crash may leave it.
@Suite struct RecoveryTests {
  private let log = TestLog()
  private let paths = TestLog.paths

  /// Where block `index` of the first segment stands, when all blocks are small.
  private func position(_ index: Int) -> Int { 8192 + index * 4096 }

  /// A log of `durable` blocks of one record, and more that were written and never synced, in a killed process; one of
  /// them torn.
  private func image(durable: Int, unsynced: Int, torn: Int? = nil) throws -> TestLog {
    let writer = try log.openWriter(committing: 0..<durable)
    for number in durable..<(durable + unsynced) { _ = try writer.write([batch([record(number)])]) }
    let image = log.killed()
    if let torn { try tear(image, block: torn) }
    return image
  }

  /// What a power cut leaves of a block: its last sector, which holds the payload's end, is zeros after `kept` bytes.
  private func tear(_ image: TestLog, block index: Int, keeping kept: Int = 0) throws {
    let path = try image.newestSegment
    image.disk.overwrite(
      path, at: position(index) + 4096 - 512 + kept, [UInt8](repeating: 0, count: 512 - kept))
  }

  /// One flipped bit in the payload, which stands at the end of its page: no power cut does that.
  private func flip(_ image: TestLog, block index: Int, byte: Int = 30) throws {
    try #require(image.disk.flipBit(try image.newestSegment, at: position(index) + 4096 - byte, bit: 3))
  }

  @Test func `a new log is created, an untouched one is clean`() throws {
    let first = try log.openWriter()
    #expect(first.recovery.outcome == .created)
    #expect(first.recovery.end == .zero)
    let again = try log.killed().openWriter()
    #expect(again.recovery.outcome == .clean)
    #expect(again.recovery.gaps.isEmpty && again.recovery.cutBytes == 0 && again.recovery.quarantined.isEmpty)
    #expect(again.epoch == first.epoch + 1)
  }

  @Test func `what validates is kept, synced or not`() throws {
    let image = try image(durable: 2, unsynced: 2)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .clean)
    #expect(try Reading(writer.view).inOrder == records(0..<4))
    // Seen now, so it must stay.
    #expect(try Reading(image.afterPowerCut().openWriter().view).inOrder == records(0..<4))
  }

  @Test func `an opening gives back the space after the last block, and commits go into new space`() throws {
    let image = try image(durable: 2, unsynced: 0)
    let path = try image.newestSegment
    try #require(try image.contents(path).count > position(2))
    let writer = try image.openWriter()
    #expect(try image.contents(path).count == position(2))
    try writer.commit(record(2))
    #expect(try Reading(image.afterPowerCut().openWriter().view).inOrder == records(0..<3))
  }

  @Test func `a torn block with later blocks of the same window is cut, and its place used again`() throws {
    let image = try image(durable: 2, unsynced: 3, torn: 2)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .torn)
    #expect(writer.recovery.rule == "torn")
    #expect(writer.recovery.position == UInt64(position(2)))
    #expect(writer.recovery.cutBytes == 3 * 4096)
    #expect(writer.recovery.gaps.isEmpty)
    #expect(writer.recovery.end == Offset(2))
    let bytes = try image.contents(image.newestSegment)
    #expect(bytes.count == position(2))
    let copies = try writer.recovery.quarantined.map { try image.afterPowerCut().contents($0).count }
    #expect(copies.reduce(0, +) >= 4096)
    #expect(try writer.commit(record(7)) == Offset(2)..<Offset(3))
    let reading = try Reading(image.afterPowerCut().openWriter().view)
    #expect(reading.inOrder == records(0..<2) + [record(7)] && reading.gaps.isEmpty)
  }

  @Test func `what a recovery has cut does not come back after a power cut`() throws {
    let image = try image(durable: 2, unsynced: 3, torn: 2)
    let writer = try image.openWriter()
    try #require(writer.recovery.outcome == .torn && writer.recovery.cutBytes > 0)
    let again = try image.afterPowerCut(.nothingUnsynced).openWriter()
    #expect(again.recovery.outcome == .clean && again.recovery.cutBytes == 0)
    #expect(again.recovery.quarantined.isEmpty)
  }

  @Test func `a torn last block is cut, and its bytes are kept`() throws {
    let image = try image(durable: 2, unsynced: 1, torn: 2)
    let bad = try image.contents(image.newestSegment)[position(2)..<position(3)]
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .undecidable)
    #expect(writer.recovery.rule == "undecidable")
    #expect(writer.recovery.end == Offset(2))
    #expect(writer.recovery.quarantined.count == 1)
    let copy = try image.afterPowerCut().contents(try #require(writer.recovery.quarantined.first))
    // Up to the last byte that is not zero.
    #expect(bad.starts(with: copy) && bad.dropFirst(copy.count).allSatisfy { $0 == 0 })
    #expect(try Reading(writer.view).inOrder == records(0..<2))
  }

  @Test func `strict recovery refuses a torn last block and changes nothing`() throws {
    var image = try image(durable: 2, unsynced: 1, torn: 2)
    let before = image.segments.map { image.disk.contents($0) }
    image.configuration.strictRecovery = true
    let error = #expect(throws: LogError.self) { try image.openWriter() }
    #expect(error?.code == .undecidableTail)
    #expect(error?.location.position == UInt64(position(2)) && error?.location.offset == Offset(2))
    #expect(image.segments.map { image.disk.contents($0) } == before)
    image.configuration.strictRecovery = false
    #expect(try image.openWriter().recovery.outcome == .undecidable)
  }

  @Test func `strict recovery opens what is clean and refuses a torn commit`() throws {
    var image = try image(durable: 2, unsynced: 3)
    image.configuration.strictRecovery = true
    #expect(try image.killed().openWriter().recovery.outcome == .clean)
    try tear(image, block: 2)
    #expect(code { try image.openWriter() } == .undecidableTail)
  }

  @Test(arguments: [0, 1, 2])
  func `a bit that flipped in an acknowledged commit of several blocks cuts none of it`(block: Int) throws {
    // One commit of three blocks; a power cut took the commit point's newest version.
    let writer = try log.openWriter()
    try writer.commit(record(0))
    for number in 1..<4 { _ = try writer.write([batch([record(number)])]) }
    try writer.synchronize()
    let image = log.killed()
    try image.remove(paths.commitPoint)
    try flip(image, block: 1 + block)
    let found = try image.openWriter()
    #expect(found.recovery.outcome == .damaged && found.recovery.rule == "altered")
    #expect(found.recovery.cutBytes == 0 && found.recovery.end == Offset(4))
    let reading = try Reading(found.view)
    #expect(reading.lost == [Offset(UInt64(1 + block))])
    #expect(reading.records.count == 3)
    try found.commit(record(9))
    #expect(try Reading(image.afterPowerCut().openWriter().view).records[Offset(4)] == record(9))
  }

  @Test func `a bit that flipped in a header is damage where later blocks tell what is lost`() throws {
    let image = try image(durable: 1, unsynced: 2)
    try #require(image.disk.flipBit(try image.newestSegment, at: position(1) + 30, bit: 1))
    let writer = try image.openWriter()
    #expect(writer.recovery.rule == "altered")
    #expect(try Reading(writer.view).lost == [Offset(1)])
    // And where nothing does, it cannot be told from a torn write.
    let last = TestLog(seed: 2)
    let other = try last.openWriter()
    try other.commit(record(0))
    let end = last.killed()
    try end.remove(paths.commitPoint)
    try #require(end.disk.flipBit(try end.newestSegment, at: position(0) + 30, bit: 1))
    #expect(try end.openWriter().recovery.outcome == .undecidable)
  }

  @Test func `a block whose first sector never reached the disk is no clean end`() throws {
    let image = try image(durable: 1, unsynced: 1)
    let path = try image.newestSegment
    image.disk.overwrite(path, at: position(1), [UInt8](repeating: 0, count: 512))
    #expect(try image.openWriter().recovery.outcome == .undecidable)
  }

  @Test(arguments: [0, 1, 2])
  func `recovering again changes nothing`(kind: Int) throws {
    let image = try image(durable: 2, unsynced: kind == 2 ? 0 : 1 + kind)
    try tear(image, block: kind == 2 ? 1 : 2)
    _ = try image.openWriter()
    func files(_ log: TestLog) -> [String: [UInt8]] {
      let kept = log.disk.filePaths.filter { $0.hasSuffix(".seg") || $0.hasPrefix(paths.quarantine) }
      // The zeros after a new segment's header are given back by the next opening.
      return Dictionary(
        uniqueKeysWithValues: kept.map { path in
          let bytes = log.disk.contents(path) ?? []
          return (path, Array(bytes.prefix((bytes.lastIndex { $0 != 0 } ?? -1) + 1)))
        })
    }
    let once = files(image)
    let again = try image.killed().openWriter()
    #expect(again.recovery.outcome == .clean)
    #expect(files(image.killed()) == once)
    let third = image.killed().killed()
    _ = try third.openWriter()
    #expect(files(third) == once)
  }

  @Test func `a crash at every I/O of a recovery never loses the bytes it keeps`() throws {
    let image = try image(durable: 1, unsynced: 0)
    // Three pages of garbage that no block is.
    var random = SplitMix64(seed: 5)
    let garbage = random.bytes(3 * 4096)
    image.disk.overwrite(try image.newestSegment, at: position(1), garbage)
    let quiet = image.killed()
    _ = try quiet.openWriter()
    for number in 1...quiet.disk.ioCount {
      for seed in 0..<6 as Range<UInt64> {
        let crashed = image.killed()
        crashed.disk.crash(atIO: number)
        _ = try? crashed.openWriter()
        let found = crashed.afterPowerCut(.seeded(seed &+ UInt64(number) &* 100))
        let writer = try found.openWriter()
        #expect(try Reading(writer.view).inOrder == [record(0)])
        let kept = found.afterPowerCut()
        let copies = kept.quarantine.compactMap { kept.disk.contents($0) }
        let isKept = copies.contains(garbage)
        #expect(isKept, "crash at I/O \(number), seed \(seed)")
      }
    }
  }

  @Test func `two torn ends at one place leave two copies`() throws {
    let image = try image(durable: 1, unsynced: 1)
    try tear(image, block: 1, keeping: 480)
    let quarantined = try image.openWriter().recovery.quarantined
    let bytes = try image.contents(try #require(quarantined.first))
    let second = image.killed()
    let writer = try second.openWriter()
    _ = try writer.write([batch([record(77)])])
    let third = second.killed()
    try tear(third, block: 1, keeping: 488)
    #expect(try third.openWriter().recovery.outcome == .undecidable)
    let copies = third.quarantine.compactMap { third.disk.contents($0) }
    #expect(copies.count == 2)
    let isKept = copies.contains(bytes)
    #expect(isKept)
  }

  @Test func `a block of a later version is never cut`() throws {
    for isSynced in [true, false] {
      let image = try image(durable: isSynced ? 3 : 2, unsynced: isSynced ? 0 : 1)
      let path = try image.newestSegment
      try makeFuture(image, block: 2)
      let before = try image.contents(path)
      #expect(code { try image.openWriter() } == .futureFormat)
      let isUntouched = try image.contents(path) == before
      #expect(isUntouched)
    }
  }

  @Test func `a block of a later version behind a torn one is not cut either`() throws {
    let image = try image(durable: 1, unsynced: 2)
    let path = try image.newestSegment
    try tear(image, block: 1)
    try makeFuture(image, block: 2)
    let before = try image.contents(path)
    #expect(code { try image.openWriter() } == .futureFormat)
    let isUntouched = try image.contents(path) == before
    #expect(isUntouched)
  }

  private func makeFuture(_ image: TestLog, block index: Int) throws {
    let path = try image.newestSegment
    let bytes = try #require(image.disk.contents(path))
    let header = try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) }
    let block = Array(bytes[position(index)..<position(index + 1)])
    image.disk.overwrite(path, at: position(index), Blocks.ofFutureVersion(block, seed: header.seed))
  }

  @Test func `files that are none of the log's stay as they are and are named`() throws {
    let image = try image(durable: 1, unsynced: 0)
    let strangers = [
      paths.data + "/notes.txt", paths.data + "/0000000001-00000000000000000000.seg.bak",
      paths.data + "/+000000001-00000000000000000000.seg",
    ]
    for path in strangers { image.disk.install(path, [1, 2, 3]) }
    image.disk.install(paths.root + "/README", [4])
    let writer = try image.openWriter()
    #expect(writer.recovery.unknownFiles == strangers.sorted())
    for number in 1..<40 { try writer.commit(record(number)) }
    try writer.close()
    for path in strangers { #expect(image.disk.contents(path) == [1, 2, 3]) }
    #expect(image.disk.contents(paths.root + "/README") == [4])
  }

  @Test func `a META that is gone is made again from the segments`() throws {
    let image = try image(durable: 2, unsynced: 0)
    let id = try image.killed().openWriter().logID
    try image.remove(paths.meta)
    let writer = try image.openWriter()
    #expect(writer.recovery.rebuiltMeta)
    #expect(writer.logID == id)
    #expect(try Reading(writer.view).inOrder == records(0..<2))
    try writer.commit(record(2))
    let again = try image.killed().openWriter()
    #expect(!again.recovery.rebuiltMeta && again.logID == id)
    #expect(try Reading(again.view).inOrder == records(0..<3))
  }

  @Test func `a writer that died while it made the next segment ready leaves nothing in the way`() throws {
    let writer = try log.openWriter()
    try writer.commit(record(0))
    try writer.preparer.prepare()
    let image = log.killed()
    let next = try image.openWriter()
    for number in 1..<60 { try next.commit(record(number)) }
    #expect(image.segments.count > 1)
    #expect(try Reading(next.view).inOrder == records(0..<60))
  }

  @Test func `every opening raises the epoch, and blocks carry it`() throws {
    var image = log
    var epochs: [UInt32] = []
    for number in 0..<4 {
      let writer = try image.openWriter()
      epochs.append(writer.epoch)
      #expect(writer.recovery.epoch == writer.epoch)
      try writer.commit(record(number))
      image = image.killed()
    }
    #expect(epochs == Array(epochs[0]..<(epochs[0] + 4)))
    let bytes = try image.contents(image.newestSegment)
    for (index, epoch) in epochs.enumerated() {
      #expect(bytes.withUnsafeBytes { $0.get(UInt32.self, at: position(index) + 56) } == epoch)
    }
  }
}
