@testable import PenstockLog
import PenstockTestKit
import Testing

/// However often a segment is damaged, looking through it reads each byte a few times, and not a megabyte for each
/// flaw.
@Suite(.timeLimit(.minutes(1))) struct LinearRecoveryTests {
  private static let blocks = 700

  /// A killed log of one segment with many blocks of a page each; every second one damaged: its payload, or its header.
  private func damaged(inHeader: Bool) throws -> (test: TestLog, size: Int) {
    var test = TestLog()
    test.configuration.segmentBytes = 4 << 20
    _ = try test.openWriter(committing: 0..<Self.blocks)
    let image = test.killed()
    let segment = try image.newestSegment
    for block in stride(from: 1, to: Self.blocks - 1, by: 2) {
      #expect(image.disk.flipBit(segment, at: 8192 + block * 4096 + (inHeader ? 30 : 140), bit: 2))
    }
    return (image, try image.contents(segment).count)
  }

  @Test(arguments: [false, true]) func `recovery of a badly damaged segment is linear`(inHeader: Bool) throws {
    let (test, size) = try damaged(inHeader: inHeader)
    let before = test.disk.readBytes
    let writer = try test.openWriter()
    #expect(writer.recovery.outcome == .damaged && writer.recovery.gaps.count == (Self.blocks - 1) / 2)
    let read = test.disk.readBytes - before
    #expect(read < 8 * size, "\(read) bytes read of \(size)")
  }

  @Test(arguments: [false, true]) func `so is a look through it, and a reading`(inHeader: Bool) throws {
    let (test, size) = try damaged(inHeader: inHeader)
    let writer = try test.openWriter()
    var before = test.disk.readBytes
    let findings = try test.inspector().walk(.contents)
    #expect(findings.flatMap(\.problems).count >= (Self.blocks - 1) / 2)
    #expect(test.disk.readBytes - before < 8 * size, "\(test.disk.readBytes - before) bytes read of \(size)")
    before = test.disk.readBytes
    let reading = try Reading(writer.view)
    #expect(reading.gaps.count == (Self.blocks - 1) / 2)
    #expect(test.disk.readBytes - before < 8 * size, "\(test.disk.readBytes - before) bytes read of \(size)")
  }
}
