import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct SealingTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func `a sealed log holds the same records at the same offsets with the same append times`(seed: UInt64) throws {
    let (bench, writer) = try SealFixture.opened(segments: 4, seed: seed)
    let newest = try bench.log.contents(bench.log.newestSegment)
    let outcomes = try writer.sealAll()
    #expect(outcomes.count == 3 && outcomes.allSatisfy { $0.seal != nil })
    #expect(try bench.isWhole(writer.view))
    #expect(try bench.log.contents(bench.log.newestSegment) == newest, "the newest is never sealed")
    try writer.close()
    for later in [bench.log.killed(), bench.log.afterPowerCut()] {
      let again = try later.openWriter()
      #expect(again.recovery.outcome == .clean)
      #expect(try bench.isWhole(again.view))
      #expect(try again.sealAll() == [.wasSealed, .wasSealed, .wasSealed])
    }
  }

  @Test func `blocks are joined up to the limit, a larger append stays whole, and nothing is padded`() throws {
    var log = TestLog()
    log.configuration.sealing = .settings(settings(blockBytes: 4 << 10))
    let writer = try log.openWriter(committing: 0..<4)
    var random = SplitMix64(seed: 3)
    try writer.commit(random.bytes(5_000), [])
    for number in 0..<200 where writer.segmentCount == 1 { try writer.commit(record(number), random.bytes(700)) }
    let seal = try #require(try writer.sealAll().first?.seal)
    let segment = writer.view.set.segments[0]
    let entries = try segment.entries(upTo: seal.endOffset)
    #expect(entries.first.map { [$0.count, Int($0.position)] } == [4, 8192])
    #expect(entries[1].count == 2)
    #expect(entries.count < Int(seal.originalBlocks) / 2)
    #expect(zip(entries, entries.dropFirst()).allSatisfy { $0.endPosition == $1.position })
    #expect(seal.fileLength < seal.originalBytes)
  }

  @Test func `a search by time finds the very record, before and after`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 3)
    func check(_ comment: Comment) throws {
      for (index, record) in bench.expected.enumerated() where index % 3 == 0 {
        for shift in [-1, 0, 1] as [Int64] {
          let time = Timestamp(nanoseconds: record.appendTime.nanoseconds + shift)
          let first = bench.expected.firstIndex { $0.appendTime >= time } ?? bench.expected.count
          #expect(try writer.view.offset(atOrAfter: time) == Offset(UInt64(first)), comment)
        }
      }
    }
    try check("before")
    try writer.sealAll()
    try check("after")
    let fresh = try bench.log.killed().openWriter()
    #expect(
      try fresh.view.offset(atOrAfter: bench.expected[7].appendTime).rawValue
        == UInt64(bench.expected.firstIndex { $0.appendTime >= bench.expected[7].appendTime } ?? 0))
  }

  @Test func `a damaged original is left exactly as it is`() throws {
    let bench = try SealFixture(segments: 4)
    let path = bench.log.segments[1]
    for position in [9_000, 8192 + 20] {
      let image = bench.log.killed()
      try #require(image.disk.flipBit(path, at: position, bit: 2))
      let before = try image.contents(path)
      let outcomes = try image.openWriter().sealAll()
      #expect(outcomes.map(\.isLeft) == [false, true, false])
      #expect(try image.contents(path) == before)
      #expect(!image.disk.filePaths.contains { $0.hasSuffix(".sealing") })
    }
  }

  @Test func `a segment whose end the next one does not confirm is left`() throws {
    let bench = try SealFixture(segments: 3)
    let image = bench.log.killed()
    let bytes = try image.contents(image.segments[0])
    image.disk.install(image.segments[0], bytes + Array("more".utf8))
    #expect(try image.openWriter().sealAll().map(\.isLeft) == [true, false])
    try image.remove(image.segments[1])
    #expect(try image.openWriter().sealAll().isEmpty)
  }

  @Test func `one flipped bit anywhere in a sealed file loses at most one block, and never silently`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 3, blockBytes: 12 << 10, seed: 5)
    try writer.sealAll()
    let blocks = try writer.view.set.segments.map { try $0.entries(upTo: Offset(.max)) }
    try writer.close()
    let path = bench.log.segments[0]
    let size = try bench.log.contents(path).count
    let footer = try #require(try writer.view.set.segments[0].open().1.seal).footerPosition
    var lossless = 0
    let fronts = blocks[0].map { Int($0.position)..<(Int($0.position) + 130) }
    let positions = (0..<size).filter { position in
      position % 37 == 0 || position >= Int(footer) || fronts.contains { $0.contains(position) }
    }
    for position in positions {
      let image = bench.log.killed()
      image.disk.flipBit(path, at: position, bit: position % 8)
      let view = try image.openWriter().view
      let found = try SealFixture.read(view)
      if let wrong = found.first(where: { $1 != bench.expected[Int($0.rawValue)] }) {
        Issue.record("byte \(position): wrong at offset \(wrong.key)")
      }
      let lost = Set(bench.expected.indices.filter { found[Offset(UInt64($0))] == nil })
      let hurt = blocks.joined().filter { block in
        (0..<block.count).contains { lost.contains(Int((block.baseOffset + $0).rawValue)) }
      }
      if hurt.count > 1 { Issue.record("byte \(position): \(hurt.count) blocks are lost") }
      if hurt.contains(where: { !(Int($0.position)..<Int($0.endPosition)).contains(position) }) {
        Issue.record("byte \(position): another block is lost")
      }
      if lost.isEmpty { lossless += 1 }
    }
    #expect(lossless > 100)
  }

  @Test func `without a believable footer, blocks are found by themselves, also behind a damaged one`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 3, blockBytes: 4 << 10, seed: 4)
    try writer.sealAll()
    let segment = writer.view.set.segments[0]
    let (_, header) = try segment.open()
    let seal = try #require(header.seal)
    let entries = try segment.entries(upTo: seal.endOffset)
    try #require(entries.count > 2)
    try writer.close()
    let image = bench.log.killed()
    image.disk.flipBit(segment.path, at: Int(seal.footerPosition) + 50, bit: 0)
    #expect(try bench.isWhole(image.openWriter().view))
    #expect(try image.openWriterAgain().view.set.segments[0].entries(upTo: seal.endOffset) == entries)
    image.disk.flipBit(segment.path, at: Int(entries[0].position) + 60, bit: 0)
    let reading = try Reading(image.openWriterAgain().view)
    #expect(reading.gaps.map { [$0.first, $0.end] } == [[entries[0].baseOffset, entries[0].endOffset]])
    // The last block, whose end only the seal knows.
    image.disk.flipBit(segment.path, at: Int(entries[entries.count - 1].position) + 60, bit: 0)
    let last = try Reading(image.openWriterAgain().view).gaps.last
    #expect(last?.first == entries.last?.baseOffset && last?.end == seal.endOffset && last?.reason == .damaged)
  }

  @Test func `verify and inspect find nothing wrong in a sealed log, and every flaw that is planted`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 4, blockBytes: 12 << 10)
    try writer.sealAll()
    try writer.close()
    func problems(_ log: TestLog) throws -> [String] {
      try log.problems().map(\.message)
    }
    let findings = try bench.log.inspector().walk(.deep)
    #expect(findings.flatMap(\.problems) == [])
    #expect(findings.map { $0.header?.isSealed } == [true, true, true, false])
    #expect(findings.dropLast().allSatisfy { ($0.bytesBeforeSealing ?? 0) > $0.fileBytes })
    let seal = try #require(findings[1].header?.seal)
    for position in stride(from: Int(seal.footerPosition), to: Int(seal.fileLength), by: 9) {
      let image = bench.log.killed()
      image.disk.flipBit(findings[1].path, at: position, bit: 1)
      #expect(!(try problems(image)).isEmpty, "byte \(position)")
    }
    let image = bench.log.killed()
    image.disk.install(findings[1].path, try image.contents(findings[1].path) + [0])
    #expect(!(try problems(image)).isEmpty)
    // A sealed segment of another history does not continue the chain.
    let other = try SealFixture(segments: 4, blockBytes: 12 << 10, seed: 2)
    let stranger = try other.log.openWriter()
    try stranger.sealAll()
    image.disk.install(findings[0].path, try other.log.contents(other.log.segments[0]))
    #expect(!(try problems(image)).isEmpty)
  }

  @Test func `when the segment behind a sealed one is gone, the log says so and goes on under a new number`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 3)
    try writer.sealAll()
    try writer.close()
    let end = writer.durableEnd
    let image = bench.log.killed()
    try image.remove(image.newestSegment)
    let again = try image.openWriter()
    #expect(again.recovery.outcome == .damaged && again.recovery.rule == "lost tail")
    #expect(again.recovery.gaps.map(\.end) == [end] && again.end == end)
    #expect(again.view.set.segments.map(\.name.sequence) == [1, 2, 4])
    try again.commit(record(1))
    #expect(try Reading(again.view).gaps.map(\.reason) == [.missing])
  }

  private func settings(blockBytes: Int) -> SealingSettings {
    var settings = SealingSettings()
    settings.blockBytes = blockBytes
    return settings
  }
}

extension TestLog {
  /// Opens a copy, so that this one can be changed and opened again.
  func openWriterAgain() throws -> LogWriter { try killed().openWriter() }
}
