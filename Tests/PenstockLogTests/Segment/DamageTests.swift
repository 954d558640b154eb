@testable import PenstockLog
import PenstockTestKit
import Testing

/// Acknowledged records that are gone: what is left is served, what is lost is told, and no offset is given out twice.
@Suite struct DamageTests {
  private let log = TestLog()
  private let paths = TestLog.paths

  private func position(_ index: Int) -> Int { 8192 + index * 4096 }

  private func damage(_ image: TestLog, block index: Int, of segment: Int? = nil) throws {
    let path = try segment.map { image.segments[$0] } ?? image.newestSegment
    try #require(image.disk.flipBit(path, at: position(index) + 4090, bit: 3))
  }

  /// What must hold after damage was found: the gap is exact, and everything else is there. The log continues after the
  /// gap and is clean from then on.
  private func check(
    _ image: TestLog, lost: Range<Int>, of count: Int, rule: String, reason: Gap.Reason = .damaged,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = Dictionary(uniqueKeysWithValues: image.segments.map { ($0, image.disk.contents($0)) })
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .damaged, sourceLocation: sourceLocation)
    #expect(writer.recovery.rule == rule, sourceLocation: sourceLocation)
    #expect(writer.recovery.end == Offset(UInt64(count)), sourceLocation: sourceLocation)
    let gap = Gap(first: Offset(UInt64(lost.lowerBound)), end: Offset(UInt64(lost.upperBound)), reason: reason)
    let reported = writer.recovery.gaps.map { Gap(first: $0.first, end: $0.end, reason: $0.reason) }
    #expect(reported == [gap], sourceLocation: sourceLocation)
    for (path, bytes) in before {
      let isUntouched = image.disk.contents(path) == bytes
      #expect(isUntouched, "a damaged log's segments stay as they are", sourceLocation: sourceLocation)
    }
    #expect(try writer.commit(record(count)).lowerBound == Offset(UInt64(count)), sourceLocation: sourceLocation)

    for later in [image, image.killed(), image.afterPowerCut()] {
      let view = later.disk === image.disk ? writer.view : try later.openWriter().view
      let reading = try Reading(view)
      // A reader meets one gap after the other where the report tells one.
      #expect(reading.lost == lost.map { Offset(UInt64($0)) }, sourceLocation: sourceLocation)
      #expect(reading.gaps.allSatisfy { $0.reason == reason }, sourceLocation: sourceLocation)
      let kept = (0...count).filter { !lost.contains($0) }
      #expect(reading.records.keys.sorted() == kept.map { Offset(UInt64($0)) }, sourceLocation: sourceLocation)
      #expect(reading.inOrder == kept.map(record), sourceLocation: sourceLocation)
    }
    let again = try image.killed().openWriter()
    #expect(again.recovery.end == Offset(UInt64(count + 1)), sourceLocation: sourceLocation)
  }

  /// A log of blocks of one record each, all acknowledged, in a killed process.
  private func image(_ count: Int, closed: Bool = false, keepingCommitPoint: Bool = false) throws -> TestLog {
    let writer = try log.openWriter(committing: 0..<count)
    if closed { try writer.close() }
    let image = log.killed()
    if !keepingCommitPoint { try image.remove(paths.commitPoint) }
    return image
  }

  @Test func `a later block's durableUpTo convicts a damaged block`() throws {
    let image = try image(3)
    try damage(image, block: 1)
    try check(image, lost: 1..<2, of: 3, rule: "contradicted")
  }

  @Test func `the bad bytes are copied to the quarantine`() throws {
    let image = try image(3)
    try damage(image, block: 1)
    let bad = Array(try image.contents(image.newestSegment)[position(1)..<position(2)])
    let report = try image.openWriter().recovery
    #expect(report.quarantined.count == 1)
    let copy = try image.afterPowerCut().contents(try #require(report.quarantined.first))
    #expect(copy == bad)
  }

  @Test func `a durableUpTo convicts even when the block that says so lost its payload`() throws {
    let image = try image(2)
    try damage(image, block: 0)
    try damage(image, block: 1)
    try check(image, lost: 0..<2, of: 2, rule: "contradicted", reason: .damaged)
  }

  @Test func `any later block may be the one that convicts, not only the next`() throws {
    let writer = try log.openWriter()
    // Blocks 0 and 1 are of one unsynced window; block 2 was built after their sync.
    _ = try writer.write([batch([record(0)])])
    try writer.commit(batches: batch([record(1)]))
    try writer.commit(record(2))
    let image = log.killed()
    try image.remove(paths.commitPoint)
    try damage(image, block: 0)
    try check(image, lost: 0..<1, of: 3, rule: "contradicted")
  }

  @Test func `the commit point convicts`() throws {
    let image = try image(3, keepingCommitPoint: true)
    try damage(image, block: 2)
    try check(image, lost: 2..<3, of: 3, rule: "evidenced")
  }

  @Test func `the end of an orderly close convicts`() throws {
    let image = try image(3, closed: true)
    try damage(image, block: 2)
    try check(image, lost: 2..<3, of: 3, rule: "evidenced")
  }

  @Test(arguments: [false, true])
  func `a cursor convicts, by what it committed and by what it has in flight`(isInFlight: Bool) throws {
    let writer = try log.openWriter(committing: 0..<3)
    let cursor = try CursorStore.hold(log.disk, paths, logID: writer.logID, name: "c", startingAt: .zero)
    try cursor.move { (state) throws(CursorMoveError) in
      if !isInFlight { return try state.committing(to: Offset(3), epoch: 0, durableEnd: Offset(3)) }
      return try state.beginning(intent(0, 3), epoch: 0, durableEnd: Offset(3))
    }
    let image = log.killed()
    try image.remove(paths.commitPoint)
    try damage(image, block: 2)
    try check(image, lost: 2..<3, of: 3, rule: "evidenced")
  }

  @Test func `a cursor of another log says nothing`() throws {
    let other = TestLog(seed: 2)
    let writer = try other.openWriter(committing: 0..<9)
    _ = try CursorStore.hold(other.disk, paths, logID: writer.logID, name: "c", startingAt: Offset(9))
    let image = try image(3)
    image.disk.install(paths.slots(.small), try other.contents(paths.slots(.small)))
    let report = try image.openWriter().recovery
    #expect(report.outcome == .clean)
    #expect(report.end == Offset(3))
  }

  @Test func `a tail that turned to zeros is lost, when something has seen it`() throws {
    let image = try image(3, keepingCommitPoint: true)
    image.disk.overwrite(try image.newestSegment, at: position(1), [UInt8](repeating: 0, count: 8192))
    try check(image, lost: 1..<3, of: 3, rule: "lost tail")
  }

  @Test func `several damaged places in one segment are several gaps`() throws {
    let image = try image(7)
    for block in [1, 2, 4] { try damage(image, block: block) }
    let writer = try image.openWriter()
    #expect(writer.recovery.gaps.map { [$0.first.rawValue, $0.end.rawValue] } == [[1, 3], [4, 5]])
    #expect(writer.recovery.quarantined.count == 2)
    let reading = try Reading(writer.view)
    #expect(reading.records.keys.sorted() == [0, 3, 5, 6].map { Offset($0) })
    for offset in [1, 2, 4] { #expect(reading.gaps.contains { $0.covers(Offset(UInt64(offset))) }) }
  }

  // MARK: Whole segments

  /// A log of three segments, one of which may be missing.
  private func rolled(without missing: Int? = nil) throws -> (image: TestLog, bases: [Int], count: Int) {
    let writer = try log.openWriter()
    let count = try log.commit(to: writer, segments: 3, divisibleBy: 3)
    try writer.close()
    let bases = log.segments.compactMap { SegmentName(String($0.suffix(35)))?.baseOffset.rawValue }.map { Int($0) }
    try #require(bases.count == 3)
    let image = log.killed()
    if let missing { try image.remove(image.segments[missing]) }
    return (image, bases, count)
  }

  @Test func `a missing segment in the middle is told, by the report and to readers`() throws {
    let (image, bases, count) = try rolled(without: 1)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .damaged)
    let gap = Gap(first: Offset(UInt64(bases[1])), end: Offset(UInt64(bases[2])), reason: .missing)
    #expect(writer.recovery.gaps == [gap])
    let reading = try Reading(writer.view)
    #expect(reading.gaps == [gap])
    #expect(reading.inOrder == records(0..<bases[1]) + records(bases[2]..<count))
    #expect(try writer.commit(record(count)).lowerBound == Offset(UInt64(count)))
  }

  @Test func `a missing last segment is reported, and its offsets stay taken`() throws {
    let (image, bases, count) = try rolled(without: 2)
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .damaged)
    let gap = Gap(first: Offset(UInt64(bases[2])), end: Offset(UInt64(count)), reason: .missing)
    #expect(writer.recovery.gaps == [gap])
    #expect(try writer.commit(record(count)).lowerBound == Offset(UInt64(count)))
    #expect(image.segments.count == 3, "the sequence of the lost segment is not used again")
    #expect(image.segments.last?.contains("0000000004-") == true)
    #expect(try Reading(writer.view).gaps == [gap])
    #expect(try Reading(image.killed().openWriter().view).gaps == [gap])
  }

  @Test func `all segments missing: nothing is served, nothing used again`() throws {
    let (image, _, count) = try rolled()
    for path in image.segments { try image.remove(path) }
    let writer = try image.openWriter()
    #expect(writer.recovery.outcome == .damaged)
    #expect(writer.recovery.gaps == [Gap(first: .zero, end: Offset(UInt64(count)), reason: .missing)])
    #expect(try writer.commit(record(count)).lowerBound == Offset(UInt64(count)))
  }

  @Test func `a missing first segment is not taken for retention`() throws {
    let (image, bases, count) = try rolled(without: 0)
    let writer = try image.openWriter()
    let gap = Gap(first: .zero, end: Offset(UInt64(bases[1])), reason: .missing)
    #expect(writer.recovery.outcome == .damaged && writer.recovery.gaps == [gap])
    let reading = try Reading(writer.view)
    #expect(reading.gaps == [gap])
    #expect(reading.inOrder == records(bases[1]..<count))
  }

  @Test func `a damaged block in an older segment is a gap, and the next one is served`() throws {
    let (image, bases, count) = try rolled()
    try damage(image, block: 2, of: 1)
    try #require(image.disk.flipBit(image.segments[1], at: position(4) + 20, bit: 1))
    let writer = try image.openWriter()
    let reading = try Reading(writer.view)
    let lost = [bases[1] + 2, bases[1] + 4]
    #expect(reading.gaps.map(\.first) == lost.map { Offset(UInt64($0)) })
    #expect(reading.gaps.map(\.end) == lost.map { Offset(UInt64($0 + 1)) })
    #expect(reading.gaps.allSatisfy { $0.reason == .damaged && $0.path == image.segments[1] })
    #expect(reading.inOrder == (0..<count).filter { !lost.contains($0) }.map(record))
  }

  @Test(arguments: [0, 1])
  func `an older segment whose headers are both damaged is a gap`(index: Int) throws {
    let (image, bases, count) = try rolled()
    for page in 0..<2 { try #require(image.disk.flipBit(image.segments[index], at: page * 4096 + 90, bit: 0)) }
    let reading = try Reading(image.openWriter().view)
    #expect(
      reading.gaps == [
        Gap(
          first: Offset(UInt64(bases[index])), end: Offset(UInt64(bases[index + 1])), reason: .damaged,
          path: image.segments[index])
      ])
    #expect(reading.inOrder == (0..<count).filter { !(bases[index]..<bases[index + 1]).contains($0) }.map(record))
  }

  @Test func `a newest segment whose headers are both damaged is refused and left alone`() throws {
    let (image, _, _) = try rolled()
    for page in 0..<2 { try #require(image.disk.flipBit(image.segments[2], at: page * 4096 + 90, bit: 0)) }
    let before = try image.contents(image.newestSegment)
    let error = #expect(throws: LogError.self) { try image.openWriter() }
    #expect(error?.code == .damaged && error?.location.path == image.segments[2])
    let isUntouched = try image.contents(image.newestSegment) == before
    #expect(isUntouched)
  }

  @Test func `a newest segment of another log is refused`() throws {
    let image = try image(3)
    let other = TestLog(seed: 2)
    try other.openWriter().commit(record(100))
    image.disk.install(try image.newestSegment, try other.contents(other.newestSegment))
    #expect(code { try image.openWriter() } == .damaged)
  }

  @Test func `an older segment of another log is never served`() throws {
    let (image, bases, _) = try rolled()
    let other = TestLog(seed: 2)
    let writer = try other.openWriter()
    for number in 0..<bases[1] { try writer.commit(record(1_000_000 + number)) }
    image.disk.install(image.segments[0], try other.contents(other.newestSegment))
    let reading = try Reading(image.openWriter().view, from: .zero)
    #expect(reading.records[.zero] == nil)
    #expect(reading.gaps.contains { $0.covers(.zero) })
  }

  @Test func `two segments of one sequence are refused`() throws {
    let (image, _, _) = try rolled()
    let name = SegmentName(sequence: 2, baseOffset: Offset(3))
    image.disk.install(paths.segment(name), try image.contents(image.segments[1]))
    #expect(code { try image.openWriter() } == .damaged)
  }
}
