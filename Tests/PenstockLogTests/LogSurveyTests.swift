@testable import PenstockLog
import PenstockTestKit
import Testing

/// What is said of a log without walking it.
@Suite(.timeLimit(.minutes(1))) struct LogSurveyTests {
  /// A log of so many segments, a second between appends, one record each; closed.
  private func rolled(_ segments: Int) async throws -> (TestLog, records: Int) {
    let (test, log) = try await TestLog.opened()
    let count = try await test.append(to: log, segments: segments, divisibleBy: 3, step: 1)
    try await log.close()
    return (test, count)
  }

  private func survey(_ test: TestLog) throws -> LogSurvey {
    try LogSurvey(test.inspector())
  }

  @Test func `it says what a walk over all blocks says`() async throws {
    let (test, count) = try await rolled(4)
    let survey = try survey(test)
    let walk = try test.inspector().walk(.headers)
    #expect(survey.segments.map(\.records) == walk.map(\.records) && survey.end == Offset(UInt64(count)))
    #expect(survey.segments.map(\.fileBytes) == walk.map(\.fileBytes))
    let newest = try #require(walk.last)
    #expect(survey.usedBytes == walk.dropLast().reduce(0) { $0 + $1.fileBytes } + newest.usedBytes)
    #expect(survey.oldest == walk.first?.header?.begunAt)
    #expect(survey.sealing.looked == 3 && survey.sealing.sealed == 0)
  }

  @Test func `its reads do not grow with the blocks of older segments`() async throws {
    let (few, many) = (try await rolled(3).0, try await rolled(9).0)
    let reads = try [few, many].map { test in
      let before = test.disk.readCount
      _ = try survey(test)
      return test.disk.readCount - before
    }
    // A header and a size for each segment more; a walk reads its fourteen blocks.
    #expect(reads[1] - reads[0] <= 6 * 4, "\(reads)")
  }

  @Test func `a distance is exact where there is an index, and bounded elsewhere`() async throws {
    let (test, count) = try await rolled(3)
    let exact = try survey(test).distance(from: Offset(1))
    #expect(exact.isExact && exact.records == count - 1)
    // As a crash leaves a segment: the last byte of its index is missing.
    let path = TestLog.paths.segment(try #require(survey(test).segments.first).name)
    let bytes = try test.contents(path)
    test.disk.overwrite(path, at: bytes.count - 1, [bytes[bytes.count - 1] ^ 1])
    let survey = try survey(test)
    let newest = try #require(survey.segments.last)
    let end = Offset(UInt64(count))
    #expect(try survey.distance(from: end) == LogSurvey.Distance())
    let near = try survey.distance(from: newest.name.baseOffset)
    #expect(near.isExact && near.records == newest.records && near.bytes == UInt64(newest.records * 4096))
    let began = test.clock.now().nanoseconds - Int64(newest.records) * 1_000_000_000
    #expect(near.since == Timestamp(nanoseconds: began))
    let far = try survey.distance(from: Offset(1))
    #expect(!far.isExact && far.records == count - 1 && far.bytes < survey.usedBytes && far.bytes > near.bytes)
    #expect(far.since == survey.oldest)
  }

  @Test func `a sealed segment's index makes its distances exact`() async throws {
    let (bench, writer) = try SealFixture.opened(segments: 3)
    let sealer = bench.sealer()
    let names = writer.view.set.segments.map(\.name)
    let job = try #require(SealingPlan().next(in: names))
    _ = try sealer.seal(job, in: writer.view)
    let survey = try survey(bench.log)
    #expect(survey.sealing.looked == 2 && survey.sealing.sealed == 1)
    #expect(survey.sealing.bytesAfter == survey.segments[0].fileBytes)
    #expect(survey.sealing.bytesBefore > survey.sealing.bytesAfter)
    let distance = try survey.distance(from: .zero)
    #expect(distance.isExact && distance.since != nil)
  }

  @Test func `producers are those an opening would find`() async throws {
    let (test, log) = try await TestLog.opened()
    for name in ["a", "b"] {
      let producer = try await log.producer(named: name)
      for sequence in 1...3 {
        try await producer.append(batch([record(sequence)]), sequence: UInt64(sequence), source: [7])
      }
    }
    let beside = try survey(test).producers()
    #expect(beside.table.entries.mapValues(\.last) == ["a": 3, "b": 3] && beside.report.isComplete)
    try await log.close()
    #expect(try await test.open().recovery.producers.count == survey(test).producers().report.count)
  }
}
