@testable import PenstockLog
import PenstockTestKit
import Testing

/// Retention never takes what recovery must know of producers.
@Suite struct ProducerRetentionTests {
  private func append(_ sequence: inout UInt64, to writer: LogWriter) throws(LogError) {
    try writer.commit(batches: batch([Array("record \(sequence)".utf8)], of: "a", sequence))
    sequence += 1
  }

  /// What the next process knows, after a power cut now.
  private func recovered(_ test: TestLog) throws -> LogWriter {
    let next = test.afterPowerCut()
    next.disk.capacityBytes = nil
    return try next.openWriter()
  }

  @Test func `a producer is known after all its records are gone`() throws {
    let (test, writer) = try TestLog.written { $0.retention = RetentionPolicy(maxBytes: 64 << 10) }
    var sequence: UInt64 = 1
    while test.segments.count < 2 { try append(&sequence, to: writer) }
    while test.segments.count < 3 { try writer.commit([Array("x".utf8)]) }
    #expect(try writer.trimmer.trim().droppedSegments == 2)
    let next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.uncertain.isEmpty)
    #expect(try next.answer("a", sequence) == .append)
    #expect(try next.answer("a", sequence - 1) != .append)
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
    #expect(test.snapshots.isEmpty)
    let report = try writer.trimmer.trim()
    #expect(report.droppedSegments == 0 && writer.view.set.first == .zero)
    #expect(report.holds.map(\.reason) == [.neededForProducers] && report.holds.allSatisfy { $0.cursor == nil })
    var next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.readFrom == .zero)
    #expect(try next.answer("a", sequence) == .append)

    // Room for a snapshot, none for a segment: it is made when the disk is full, and then the first segment may go.
    test.disk.capacityBytes = test.usedBytes + 2_000
    #expect(code { while true { try append(&sequence, to: writer) } } == .noSpace)
    #expect(try writer.trimmer.trim().droppedSegments == 1)
    next = try recovered(test)
    #expect(next.recovery.producers.isComplete && next.recovery.producers.uncertain.isEmpty)
    #expect(try next.answer("a", sequence) == .append)
    try append(&sequence, to: writer)
    #expect(test.segments.count == 2)
  }
}
