@testable import PenstockLog
import PenstockTestKit
import Testing

/// What becomes of producers when files are missing or damaged.
@Suite struct ProducerRecoveryTests {
  private func batch(_ name: String, _ sequence: UInt64) -> RecordBatch {
    PenstockLogTests.batch([Array("\(name) \(sequence)".utf8)], of: name, sequence)
  }

  /// a appends always, b only in the beginning, so that only the snapshots or the first segment know of it.
  private func filled(_ test: TestLog) throws {
    let writer = try test.openWriter()
    for sequence in 1...40 as ClosedRange<UInt64> {
      try writer.commit(all: [batch("a", sequence)] + (sequence < 4 ? [batch("b", sequence)] : []))
    }
    try writer.close()
  }

  @Test func `a producer that paused many segments ago is known from the snapshot alone`() throws {
    let test = TestLog()
    try filled(test)
    #expect(test.segments.count >= 3)
    let writer = try test.openWriter()
    let report = writer.recovery.producers
    #expect(report.snapshot != nil && report.readFrom == report.snapshot && report.count == 2 && report.isComplete)
    #expect(try writer.answer("a", 41) == .append)
    #expect(try writer.answer("b", 4) == .append)
    #expect(try writer.answer("b", 3) == .known(Offset(5)..<Offset(6)))
  }

  @Test func `without snapshots, or with damaged ones, the whole log tells`() throws {
    for isRemoved in [true, false] {
      let test = TestLog()
      try filled(test)
      for path in test.snapshots {
        if isRemoved { try test.remove(path) } else { test.disk.flipBit(path, at: 30, bit: 0) }
      }
      let writer = try test.openWriter()
      let report = writer.recovery.producers
      #expect(report.snapshot == nil && report.readFrom == .zero && report.isComplete && report.uncertain.isEmpty)
      #expect(report.damagedSnapshots.isEmpty == isRemoved)
      #expect(try writer.answer("a", 41) == .append)
      #expect(try writer.answer("b", 3) == .known(Offset(5)..<Offset(6)))
      #expect(try writer.answer("c", 1) == .append)
    }
  }

  @Test func `with one damaged snapshot the older one is used, and more is read`() throws {
    let test = TestLog()
    try filled(test)
    let before = try test.openWriter()
    let newest = try #require(before.recovery.producers.snapshot)
    try before.close()
    for path in test.snapshots {
      let bytes = try test.contents(path)
      if try ProducerSnapshot(decoding: bytes).end == newest { test.disk.flipBit(path, at: bytes.count / 2, bit: 4) }
    }
    let writer = try test.openWriter()
    let older = try #require(writer.recovery.producers.snapshot)
    #expect(older < newest && writer.recovery.producers.damagedSnapshots.count == 1)
    #expect(try writer.answer("a", 41) == .append && writer.answer("b", 4) == .append)
  }

  @Test func `without snapshots and without the first segment, who is not seen is refused`() throws {
    let test = TestLog()
    try filled(test)
    for path in test.snapshots { try test.remove(path) }
    try test.remove(try #require(test.segments.first))
    let writer = try test.openWriter()
    #expect(!writer.recovery.producers.isComplete && writer.recovery.producers.uncertain.isEmpty)
    #expect(try writer.answer("a", 41) == .append)
    for sequence in 1...5 as ClosedRange<UInt64> {
      #expect(try writer.answer("b", sequence) == .refused(.uncertain(last: 0)))
    }
  }

  @Test func `lost records make their possible producers uncertain, until a later append settles it`() throws {
    let (test, writer) = try TestLog.written()
    try writer.commit(batches: batch("a", 1), batch("b", 1))
    try writer.commit(batches: batch("a", 2))  // will be damaged
    try writer.commit(batches: batch("c", 1))
    try writer.close()
    test.disk.flipBit(try test.newestSegment, at: 8192 + 4096 + 20, bit: 0)
    let after = try test.openWriter()
    #expect(after.recovery.outcome == .damaged && after.recovery.producers.uncertain == ["a", "b"])
    #expect(try after.answer("a", 2) == .refused(.uncertain(last: 1)))
    #expect(try after.answer("a", 1) == .known(Offset(0)..<Offset(1)))
    #expect(try after.answer("b", 2) == .refused(.uncertain(last: 1)))
    #expect(try after.answer("c", 2) == .append)
    #expect(try after.answer("new", 1) == .refused(.uncertain(last: 0)))
    // An append that the caller vouched for.
    _ = try after.write([batch("b", 2)])
    try after.close()
    let last = try test.openWriter()
    #expect(last.recovery.producers.uncertain == ["a"])
    #expect(try last.answer("b", 3) == .append)
  }

  @Test func `a damaged payload loses records, not whose they were`() throws {
    let (test, writer) = try TestLog.written()
    for sequence in 1...30 as ClosedRange<UInt64> { try writer.commit(batches: batch("a", sequence)) }
    try writer.close()
    for path in test.snapshots { try test.remove(path) }
    test.disk.flipBit(try #require(test.segments.first), at: 8192 + 4096 - 1, bit: 0)
    let after = try test.openWriter()
    #expect(after.recovery.producers.uncertain.isEmpty && after.recovery.producers.isComplete)
    #expect(try after.answer("a", 31) == .append)
  }

  @Test func `an append is known when it is durable, and not before`() throws {
    let (test, writer) = try TestLog.written()
    _ = try writer.write([batch("a", 1)])
    #expect(writer.producers.entry("a") == nil)
    try writer.synchronize()
    try writer.publish()
    #expect(writer.producers.entry("a")?.last == 1)
    _ = try writer.write([batch("a", 2)])
    test.disk.fail(fromIO: 1, .inputOutput)
    #expect(throws: LogError.self) { try writer.synchronize() }
    #expect(throws: LogError.self) { try writer.publish() }
    #expect(writer.producers.entry("a")?.last == 1)
  }

  @Test func `a snapshot bears witness to the records it counts in`() throws {
    let (test, writer) = try TestLog.written()
    for sequence in 1...60 as ClosedRange<UInt64> { try writer.commit(batches: batch("a", sequence)) }
    let image = test.killed()
    let snapshot = try #require(
      try ProducerStore.open(image.disk, TestLog.paths, logID: writer.logID).newest)
    try image.remove(TestLog.paths.commitPoint)
    for path in image.segments.suffix(2) { try image.remove(path) }
    let after = try image.openWriter()
    #expect(after.recovery.outcome == .damaged && after.end >= snapshot.end)
    #expect(try after.answer("a", snapshot.entries["a"]?.last ?? 0) != .append)
  }

  @Test func `an append that was cut off is taken again, one that was kept is not`() throws {
    let (test, writer) = try TestLog.written()
    try writer.commit(batches: batch("a", 1))
    _ = try writer.write([batch("a", 2)])
    let kept = try test.killed().openWriter()
    #expect(try kept.answer("a", 2) == .known(Offset(1)..<Offset(2)))
    let cut = try test.afterPowerCut().openWriter()
    #expect(try cut.answer("a", 2) == .append)
  }
}
