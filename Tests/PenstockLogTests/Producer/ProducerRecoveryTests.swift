@testable import PenstockLog
import PenstockTestKit
import Testing

/// What becomes of producers when files are missing or damaged.
@Suite struct ProducerRecoveryTests {
  private func batch(_ name: String, _ sequence: UInt64) -> RecordBatch {
    var batch = RecordBatch()
    batch.append("\(name) \(sequence)")
    batch.producer = ProducerMark(name: name, epoch: 1, sequence: sequence, source: [])
    return batch
  }

  /// a appends always, b only in the beginning, so that only the snapshots or the first segment know of it.
  private func filled(_ test: TestLog, _ count: UInt64 = 40) throws {
    let writer = try test.openWriter()
    for sequence in 1...count {
      _ = try writer.write([batch("a", sequence)] + (sequence < 4 ? [batch("b", sequence)] : []))
      try writer.synchronize()
      try writer.publish()
    }
    try writer.close()
  }

  private func answer(_ writer: LogWriter, _ name: String, _ sequence: UInt64) throws -> ProducerTable.Answer {
    var table = writer.producers.table
    return table.offer(name, epoch: try table.open(name), sequence: sequence)
  }

  @Test func `a producer that paused many segments ago is known from the snapshot alone`() throws {
    let test = TestLog()
    try filled(test)
    #expect(test.segments.count >= 3)
    let writer = try test.openWriter()
    let report = writer.recovery.producers
    #expect(report.snapshot != nil && report.readFrom == report.snapshot && report.count == 2 && report.isComplete)
    #expect(try answer(writer, "a", 41) == .append)
    #expect(try answer(writer, "b", 4) == .append)
    #expect(try answer(writer, "b", 3) == .known(Offset(5)..<Offset(6)))
  }

  @Test func `without snapshots, or with damaged ones, the whole log tells`() throws {
    for isRemoved in [true, false] {
      let test = TestLog()
      try filled(test)
      for path in [TestLog.paths.producers(0), TestLog.paths.producers(1)] where test.disk.filePaths.contains(path) {
        var bytes = try test.contents(path)
        try test.remove(path)
        bytes[30] ^= 1
        if !isRemoved { test.disk.install(path, bytes) }
      }
      let writer = try test.openWriter()
      let report = writer.recovery.producers
      #expect(report.snapshot == nil && report.readFrom == .zero && report.isComplete && report.uncertain.isEmpty)
      #expect(report.damagedSnapshots.isEmpty == isRemoved)
      #expect(try answer(writer, "a", 41) == .append)
      #expect(try answer(writer, "b", 3) == .known(Offset(5)..<Offset(6)))
      #expect(try answer(writer, "c", 1) == .append)
    }
  }

  @Test func `with one damaged snapshot the older one is used, and more is read`() throws {
    let test = TestLog()
    try filled(test)
    let before = try test.openWriter()
    let newest = try #require(before.recovery.producers.snapshot)
    try before.close()
    for path in [TestLog.paths.producers(0), TestLog.paths.producers(1)] {
      var bytes = try test.contents(path)
      guard try ProducerSnapshot(decoding: bytes).end == newest else { continue }
      bytes[bytes.count / 2] ^= 0x10
      try test.remove(path)
      test.disk.install(path, bytes)
    }
    let writer = try test.openWriter()
    let older = try #require(writer.recovery.producers.snapshot)
    #expect(older < newest && writer.recovery.producers.damagedSnapshots.count == 1)
    #expect(try answer(writer, "a", 41) == .append && answer(writer, "b", 4) == .append)
  }

  @Test func `without snapshots and without the first segment, who is not seen is refused`() throws {
    let test = TestLog()
    try filled(test)
    for path in [TestLog.paths.producers(0), TestLog.paths.producers(1)] { try test.remove(path) }
    try test.remove(try #require(test.segments.first))
    let writer = try test.openWriter()
    #expect(!writer.recovery.producers.isComplete && writer.recovery.producers.uncertain.isEmpty)
    #expect(try answer(writer, "a", 41) == .append)
    for sequence in 1...5 as ClosedRange<UInt64> {
      #expect(try answer(writer, "b", sequence) == .refused(.uncertain(last: 0)))
    }
  }

  @Test func `lost records make their possible producers uncertain, until a later append settles it`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
    func commit(_ batches: [RecordBatch]) throws {
      _ = try writer.write(batches)
      try writer.synchronize()
      try writer.publish()
    }
    try commit([batch("a", 1), batch("b", 1)])
    try commit([batch("a", 2)])  // will be damaged
    try commit([batch("c", 1)])
    try writer.close()
    let path = try test.newestSegment
    var bytes = try test.contents(path)
    bytes[8192 + 4096 + 20] ^= 1
    try test.remove(path)
    test.disk.install(path, bytes)
    let after = try test.openWriter()
    #expect(after.recovery.outcome == .damaged && after.recovery.producers.uncertain == ["a", "b"])
    #expect(try answer(after, "a", 2) == .refused(.uncertain(last: 1)))
    #expect(try answer(after, "a", 1) == .known(Offset(0)..<Offset(1)))
    #expect(try answer(after, "b", 2) == .refused(.uncertain(last: 1)))
    #expect(try answer(after, "c", 2) == .append)
    #expect(try answer(after, "new", 1) == .refused(.uncertain(last: 0)))
    // An append that the caller vouched for.
    _ = try after.write([batch("b", 2)])
    try after.close()
    let last = try test.openWriter()
    #expect(last.recovery.producers.uncertain == ["a"])
    #expect(try answer(last, "b", 3) == .append)
  }

  @Test func `a damaged payload loses records, not whose they were`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
    for sequence in 1...30 as ClosedRange<UInt64> {
      _ = try writer.write([batch("a", sequence)])
      try writer.synchronize()
      try writer.publish()
    }
    try writer.close()
    for path in [TestLog.paths.producers(0), TestLog.paths.producers(1)] where test.disk.filePaths.contains(path) {
      try test.remove(path)
    }
    let first = try #require(test.segments.first)
    var bytes = try test.contents(first)
    bytes[8192 + 4096 - 1] ^= 1
    try test.remove(first)
    test.disk.install(first, bytes)
    let after = try test.openWriter()
    #expect(after.recovery.producers.uncertain.isEmpty && after.recovery.producers.isComplete)
    #expect(try answer(after, "a", 31) == .append)
  }

  @Test func `an append is known when it is durable, and not before`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
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
    let test = TestLog()
    let writer = try test.openWriter()
    for sequence in 1...60 as ClosedRange<UInt64> {
      _ = try writer.write([batch("a", sequence)])
      try writer.synchronize()
      try writer.publish()
    }
    let image = test.killed()
    let snapshot = try #require(
      try ProducerStore.open(image.disk, TestLog.paths, logID: writer.logID).newest)
    try image.remove(TestLog.paths.commitPoint)
    for path in image.segments.suffix(2) { try image.remove(path) }
    let after = try image.openWriter()
    #expect(after.recovery.outcome == .damaged && after.end >= snapshot.end)
    #expect(try answer(after, "a", snapshot.entries["a"]?.last ?? 0) != .append)
  }

  @Test func `an append that was cut off is taken again, one that was kept is not`() throws {
    let test = TestLog()
    let writer = try test.openWriter()
    _ = try writer.write([batch("a", 1)])
    try writer.synchronize()
    try writer.publish()
    _ = try writer.write([batch("a", 2)])
    let kept = try test.killed().openWriter()
    #expect(try answer(kept, "a", 2) == .known(Offset(1)..<Offset(2)))
    let cut = try test.afterPowerCut().openWriter()
    #expect(try answer(cut, "a", 2) == .append)
  }
}
