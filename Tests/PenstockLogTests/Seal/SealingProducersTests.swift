@testable import PenstockLog
import PenstockTestKit
import Testing

/// Sealing beside producers and retention.
@Suite struct SealingProducersTests {
  private func filled(_ test: TestLog, _ count: UInt64 = 60) throws -> LogWriter {
    let writer = try test.openWriter()
    for sequence in 1...count {
      var batch = RecordBatch()
      for part in 0...(sequence % 3) { batch.append("a \(sequence) \(part)") }
      batch.producer = ProducerMark(name: "a", epoch: 1, sequence: sequence, source: [UInt8(sequence)])
      var other = RecordBatch()
      other.append("nobody's")
      if sequence < 4 { other.producer = ProducerMark(name: "b", epoch: 1, sequence: sequence, source: []) }
      try writer.commit(batches: other, batch)
    }
    return writer
  }

  @Test func `recovery reads the producers of sealed blocks as it read those of the originals`() throws {
    var test = TestLog()
    test.configuration.sealing = .on
    let writer = try filled(test)
    let before = writer.producers.table
    let features = try writer.view.set.segments.map { try $0.open().1.readOnlyFeatures }
    #expect(features.contains(SegmentHeader.producersFeature))
    let counts = try writer.view.set.segments.dropLast().map { try $0.entries(upTo: Offset(.max)).count }
    #expect(try writer.sealAll().allSatisfy { $0.seal != nil })
    #expect(try writer.view.set.segments.map { try $0.open().1.readOnlyFeatures } == features)
    let after = try writer.view.set.segments.dropLast().map { try $0.entries(upTo: Offset(.max)).count }
    #expect(zip(counts, after).allSatisfy { $1 < $0 }, "blocks with producers are joined")
    try writer.close()
    for path in [TestLog.paths.producers(0), TestLog.paths.producers(1)] where test.disk.filePaths.contains(path) {
      try test.remove(path)
    }
    let again = try test.openWriter()
    #expect(again.recovery.producers.readFrom == .zero && again.recovery.producers.isComplete)
    let found = again.producers.table
    for name in ["a", "b"] {
      #expect(found.entries[name]?.last == before.entries[name]?.last)
      #expect(found.entries[name]?.recent == before.entries[name]?.recent)
      #expect(found.entries[name]?.source == before.entries[name]?.source)
    }
  }

  @Test(arguments: [true, false])
  func `a segment that is dropped while it is sealed is not replaced`(isRemoved: Bool) throws {
    var test = TestLog()
    test.configuration.sealing = .on
    let writer = try filled(test)
    let names = writer.view.set.segments.map(\.name)
    let sealer = try #require(writer.sealer)
    let job = try #require(SealingPlan().next(in: names))
    let path = TestLog.paths.segment(job.segment)
    let before = try test.contents(path)
    var isDropped = false
    let outcome = try sealer.seal(job, in: writer.view) { _ throws(LogError) in
      guard !isDropped else { return }
      isDropped = true
      writer.view.trim(to: names[1])
      if isRemoved { try LogTrimmer.remove([path], test.disk, TestLog.paths) }
    }
    #expect(outcome == .dropped && isDropped)
    #expect(test.disk.filePaths.contains(path) == !isRemoved)
    #expect(!test.disk.filePaths.contains { $0.hasSuffix(".sealing") })
    if !isRemoved { #expect(try test.contents(path) == before) }
    #expect(try sealer.seal(job, in: writer.view) == .dropped)
  }
}
