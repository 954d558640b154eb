@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct SharedReadingTests {
  @Test func `many readers at once read and decode every block once`() async throws {
    let (test, writer) = try TestLog.written(0..<40)
    try writer.close()
    let view = try test.killed().openWriter().view
    // The indexes first: what is counted then are blocks.
    for segment in view.set.segments { _ = try segment.entries(upTo: view.end) }
    for segment in view.set.segments { _ = try segment.open() }
    let disk = try #require(view.set.segments.first?.fileSystem as? SimulatedFileSystem)
    let before = disk.readCount
    try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
      for _ in 0..<16 { group.addTask { try Reading(view).inOrder } }
      for try await found in group { #expect(found == records(0..<40)) }
    }
    #expect(disk.readCount - before == 40)
  }

  @Test func `readers that wait at the end get the block the writer had at hand, and it is the block`() async throws {
    let (test, log) = try await TestLog.opened()
    var tail = log.records(tailing: true).batches().makeAsyncIterator()
    var found: [[UInt8]] = []
    let texts = [record(0), [], Array("two\nlines".utf8), record(3)]
    for number in 0..<20 {
      async let appended = log.append(contentsOf: texts + [record(number)])
      let batch = try #require(try await tail.next())
      found += recordBytes(batch)
      _ = try await appended
    }
    #expect(found == (0..<20).flatMap { texts + [record($0)] })
    try await log.close()
    #expect(try Reading(try test.killed().openWriter().view).inOrder == found)
  }

  @Test func `memory is given back and used again, and never while somebody reads it`() async throws {
    let test = TestLog()
    let log = try await test.open()
    var random = SplitMix64(seed: 4)
    var all: [[UInt8]] = []
    for _ in 0..<60 {
      let bytes = random.bytes(3_000 + random.below(3_000))
      all.append(bytes)
      try await log.append(contentsOf: [bytes])
    }
    var held: [Batch] = []
    for try await batch in log.records().batches(maxRecords: 1) { held.append(batch) }
    for _ in 0..<3 { #expect(try Reading(log.view).inOrder == all) }
    #expect(held.flatMap { recordBytes($0) } == all)
    try await log.close()
  }
}
