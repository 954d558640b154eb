@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct LogReaderTests {
  private func reader(_ test: TestLog) async throws -> LogReader {
    try await test.openReader()
  }

  @Test func `a reader next to a writer sees what is durable, and follows it over segments`() async throws {
    let (test, log) = try await TestLog.opened()
    let reader = try await reader(test)
    #expect(reader.end == .zero && reader.logID == log.logID)
    for number in 0..<40 {
      try await log.append(batch([record(number)]))
      try reader.refresh()
      #expect(reader.end == log.end)
    }
    #expect(test.segments.count > 2)
    #expect(try Reading(reader.view).inOrder == records(0..<40))
    try await log.close()
    try reader.refresh()
    #expect(try Reading(reader.view).inOrder == records(0..<40))
  }

  @Test func `a reader tails a writer on the real disk`() async throws {
    try await withTemporaryDirectory { path in
      var configuration = LogConfiguration()
      configuration.segmentBytes = 64 << 10
      let log = try await Log.open(at: path, configuration: configuration)
      let reader = try await LogReader.open(at: path)
      let tail = Task {
        var found: [String] = []
        for try await record in reader.records(tailing: true) {
          found.append(record.text)
          if found.count == 50 { break }
        }
        return found
      }
      for number in 0..<50 { try await log.append("\(number)") }
      #expect(try await tail.value == (0..<50).map(String.init))
      try await log.close()
      reader.close()
    }
  }

  @Test func `a reader writes nothing, takes no lock, and repairs nothing`() async throws {
    let (test, writer) = try TestLog.written(0..<3)
    _ = try writer.write([batch([record(3)])])
    let image = test.killed()
    let before = image.disk.ioCount
    let reader = try await reader(image)
    #expect(try Reading(reader.view).inOrder == records(0..<3))
    #expect(image.disk.ioCount == before)
    reader.close()
    // A writer may come while the reader is there.
    let next = try image.openWriter()
    #expect(next.end == Offset(4))
    try reader.refresh()
    #expect(reader.end == Offset(4))
  }

  @Test func `a reader without a commit point goes by the last orderly close`() async throws {
    let (test, writer) = try TestLog.written(0..<20)
    try writer.close()
    try test.remove(TestLog.paths.commitPoint)
    let reader = try await reader(test)
    #expect(try Reading(reader.view).inOrder == records(0..<20))
  }

  @Test func `a reader of a damaged log meets the gap`() async throws {
    let image = try TestLog.written(0..<5).0.killed()
    for (block, place) in [(1, 20), (3, 4090)] {
      image.disk.flipBit(try image.newestSegment, at: 8192 + block * 4096 + place, bit: 4)
    }
    let reading = try Reading(try await reader(image).view)
    #expect(reading.lost == [Offset(1), Offset(3)])
    #expect(reading.inOrder == [0, 2, 4].map(record))
  }

  @Test func `opening leaves no handle behind when it fails`() async throws {
    let test = TestLog()
    try test.openWriter().close()
    for (path, bytes) in [(TestLog.paths.meta, [UInt8](repeating: 0, count: 8192))] {
      test.disk.install(path, bytes)
      #expect(await code { try await reader(test) } == .damaged)
      #expect(code { try test.openWriter() } == .damaged)
    }
    #expect(test.disk.openHandleCount == 0)
  }
}
