import PenstockLog
import PenstockTestKit
import Testing

/// Retention never takes what recovery must know of producers.
@Suite struct ProducerRetentionTests {
  private func batch(_ sequence: UInt64) -> RecordBatch {
    var batch = RecordBatch()
    batch.append("record \(sequence)")
    batch.producer = ProducerMark(name: "a", epoch: 1, sequence: sequence, source: [])
    return batch
  }

  private func append(_ sequence: inout UInt64, to writer: LogWriter) throws(LogError) {
    _ = try writer.write([batch(sequence)])
    try writer.synchronize()
    try writer.publish()
    sequence += 1
  }

  private func answer(_ writer: LogWriter, _ sequence: UInt64) throws -> ProducerTable.Answer {
    var table = writer.producers.table
    return table.offer("a", epoch: try table.open("a"), sequence: sequence)
  }

  private func used(_ test: TestLog) -> Int {
    test.disk.filePaths.reduce(0) { $0 + (test.disk.contents($1)?.count ?? 0) }
  }

  /// What the next process knows, after a power cut now.
  private func recovered(_ test: TestLog) throws -> LogWriter {
    let next = test.afterPowerCut()
    next.disk.capacityBytes = nil
    return try next.openWriter()
  }

  @Test func `a producer is known after all its records are gone`() throws {
    var test = TestLog()
    test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10)
    let writer = try test.openWriter()
    var sequence: UInt64 = 1
    while test.segments.count < 2 { try append(&sequence, to: writer) }
    while test.segments.count < 3 { try writer.commit([Array("x".utf8)]) }
    #expect(try writer.trimmer.trim().droppedSegments == 2)
    let next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.uncertain.isEmpty)
    #expect(try answer(next, sequence) == .append)
    #expect(try answer(next, sequence - 1) != .append)
  }

  @Test func `segments that no snapshot counts in stay, until a snapshot finds room`() throws {
    var test = TestLog()
    test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10, hardCapBytes: 64 << 10)
    let writer = try test.openWriter()
    var sequence: UInt64 = 1
    try append(&sequence, to: writer)
    // The next segment is there; a snapshot finds no room.
    try writer.preparer.prepare()
    test.disk.capacityBytes = 0
    while test.segments.count < 2 { try append(&sequence, to: writer) }
    #expect(test.disk.filePaths.filter { $0.contains("PRODUCERS") }.isEmpty)
    let report = try writer.trimmer.trim()
    #expect(report.droppedSegments == 0 && writer.view.set.first == .zero)
    #expect(report.holds.map(\.reason) == [.neededForProducers] && report.holds.allSatisfy { $0.cursor == nil })
    var next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.readFrom == .zero)
    #expect(try answer(next, sequence) == .append)

    // Room for a snapshot, none for a segment: it is made when the disk is full, and then the first segment may go.
    test.disk.capacityBytes = used(test) + 2_000
    var code: LogError.Code?
    while code == nil {
      do throws(LogError) { try append(&sequence, to: writer) } catch { code = error.code }
    }
    #expect(code == .noSpace)
    #expect(try writer.trimmer.trim().droppedSegments == 1)
    next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.uncertain.isEmpty)
    #expect(try answer(next, sequence) == .append)
    try append(&sequence, to: writer)
    #expect(test.segments.count == 2)
  }
}
