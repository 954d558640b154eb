@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ReadingTests {
  private func offsets(_ records: Records) async throws -> [UInt64] {
    var found: [UInt64] = []
    for try await record in records { found.append(record.offset.rawValue) }
    return found
  }

  /// A log of some segments, one record and one second to the block, the clock standing still for three at a time.
  private func timed(_ count: Int = 40) async throws -> (TestLog, Log, [Timestamp]) {
    let (test, log) = try await TestLog.opened()
    var times: [Timestamp] = []
    for number in 0..<count {
      if number % 3 == 0 { test.clock.advance(seconds: 1) }
      times.append(test.clock.now())
      try await log.append("\(number)")
    }
    #expect(test.segments.count > 2)
    return (test, log, times)
  }

  @Test func `records are found by offset, from anywhere to anywhere`() async throws {
    let (_, log, _) = try await timed()
    let all = Array(UInt64(0)..<40)
    #expect(try await offsets(log.records()) == all)
    for first in [0, 1, 13, 14, 15, 39, 40, 99] as [UInt64] {
      for end in [0, 1, 14, 15, 40, 99] as [UInt64] {
        let found = try await offsets(log.records(from: .offset(Offset(first)), to: .offset(Offset(end))))
        #expect(found == all.filter { $0 >= first && $0 < end }, "\(first) to \(end)")
      }
    }
    #expect(try await offsets(log.records(from: .end)) == [])
    try await log.close()
  }

  @Test func `records are found by time: the first at or after it`() async throws {
    let (test, log, times) = try await timed()
    let first = times[0].nanoseconds
    for nanoseconds in stride(from: first - 1_500_000_000, through: first + 16_000_000_000, by: 500_000_000) {
      let time = Timestamp(nanoseconds: nanoseconds)
      let expected = times.firstIndex { $0 >= time } ?? times.count
      if try log.offset(of: .time(time)) != Offset(UInt64(expected)) { Issue.record("\(nanoseconds - first)") }
    }
    #expect(try log.offset(of: .time(Timestamp(nanoseconds: .min))) == .zero)
    #expect(try log.offset(of: .time(Timestamp(nanoseconds: .max))) == log.end)
    try await log.close()
    // A fresh process has to look in the files.
    let reader = try await test.openReader()
    for (index, time) in times.enumerated() {
      #expect(try reader.offset(of: .time(time)) == Offset(UInt64(index / 3 * 3)))
    }
  }

  @Test func `a time at which a whole log was appended finds its first record`() async throws {
    let (test, log) = try await TestLog.opened()
    for number in 0..<40 { try await log.append("\(number)") }
    #expect(test.segments.count > 2)
    #expect(try log.offset(of: .time(test.clock.now())) == .zero)
    try await log.close()
  }

  @Test func `batches hold what the limits allow, over blocks and segments`() async throws {
    let (_, log, _) = try await timed()
    var sizes: [Int] = []
    for try await batch in log.records().batches(maxRecords: 7, maxBytes: 1_000) { sizes.append(batch.count) }
    #expect(sizes == [7, 7, 7, 7, 7, 5])
    sizes = []
    for try await batch in log.records(from: .offset(Offset(8))).batches(maxRecords: 100, maxBytes: 5) {
      #expect(batch.byteCount <= 5)
      sizes.append(batch.count)
    }
    #expect(sizes == [3] + Array(repeating: 2, count: 14) + [1])
    let exact = try log.view.batch(in: Offset(12)..<Offset(31))
    #expect(exact.first == Offset(12) && exact.end == Offset(31))
    #expect(throws: LogError.self) { try log.view.batch(in: Offset(12)..<Offset(41)) }
    #expect(throws: LogError.self) { try log.view.batch(in: Offset(12)..<Offset(12)) }
    try await log.close()
  }

  @Test func `tailing sees what is appended, in order, and ends with the log`() async throws {
    let test = TestLog()
    let log = try await test.open()
    try await log.append("0")
    let tail = Task {
      var found: [String] = []
      for try await record in log.records(tailing: true) { found.append(record.text) }
      return found
    }
    for number in 1..<60 { try await log.append("\(number)") }
    // The reader may be anywhere; what it has not seen when the log closes it may miss, so wait for it on another tail.
    var last = log.records(from: .offset(Offset(59)), tailing: true).makeAsyncIterator()
    #expect(try await last.next()?.text == "59")
    try await log.close()
    let found = try await tail.value
    #expect(found == (0..<found.count).map(String.init))
  }

  @Test func `tailing from a place to come waits for it`() async throws {
    let log = try await TestLog().open()
    let tail = Task {
      var iterator = log.records(from: .offset(Offset(2)), tailing: true).makeAsyncIterator()
      return try await iterator.next()?.text
    }
    for number in 0..<4 { try await log.append("\(number)") }
    #expect(try await tail.value == "2")
    try await log.close()
  }

  @Test func `a cancelled tail ends`() async throws {
    let log = try await TestLog().open()
    let tail = Task { try await offsets(log.records(tailing: true)) }
    tail.cancel()
    #expect(try await tail.value == [])
    try await log.close()
  }

  @Test func `a gap is thrown once, and reading from its end goes on`() async throws {
    let (test, writer) = try TestLog.written()
    for number in 0..<5 { try writer.commit(record(number), record(number)) }
    let image = test.killed()
    image.disk.flipBit(try image.newestSegment, at: 8192 + 2 * 4096 + 4090, bit: 0)
    let log = try await image.open()
    var found: [UInt64] = []
    var gaps: [Gap] = []
    var start = Position.beginning
    while found.last != 9 {
      do throws(LogError) {
        for try await record in log.records(from: start) { found.append(record.offset.rawValue) }
      } catch {
        let gap = try #require(error.gap)
        gaps.append(gap)
        start = .offset(gap.end)
      }
    }
    #expect(found == [0, 1, 2, 3, 6, 7, 8, 9])
    #expect(gaps.map { [$0.first.rawValue, $0.end.rawValue] } == [[4, 6]])
    try await log.close()
  }

  @Test func `many readers at once all see the same`() async throws {
    let (_, log, _) = try await timed(60)
    try await withThrowingTaskGroup(of: [UInt64].self) { group in
      for start in 0..<24 as Range<UInt64> {
        group.addTask { try await offsets(log.records(from: .offset(Offset(start)))) }
      }
      for _ in 0..<24 {
        let found = try #require(try await group.next())
        #expect(found == Array((found.first ?? 0)..<60))
      }
    }
    try await log.close()
  }

  @Test func `more segments than are kept open are read right, forwards and backwards`() async throws {
    let (test, log) = try await TestLog.opened()
    let count = try await test.append(to: log, segments: 21)
    #expect(try Reading(log.view).inOrder == records(0..<count))
    for number in (0..<count).reversed() {
      let found = try log.view.batch(in: Offset(UInt64(number))..<Offset(UInt64(number + 1)))
      found.forEachRecord { if Array($0.bytes) != record(number) { Issue.record("offset \(number)") } }
    }
    #expect(test.disk.openHandleCount < 30)
    try await log.append(batch([record(count)]))
    #expect(try Reading(log.view).inOrder == records(0..<(count + 1)))
    try await log.close()
  }

  @Test func `reading goes on through short reads and interruptions`() throws {
    let test = TestLog()
    test.disk.disturb(shortTransfers: 0.3, interruptions: 0.2)
    let writer = try test.openWriter(committing: 0..<40)
    #expect(try Reading(writer.view).inOrder == records(0..<40))
    try writer.close()
    let image = test.killed()
    image.disk.disturb(shortTransfers: 0.3, interruptions: 0.2)
    #expect(try Reading(image.openWriter().view).inOrder == records(0..<40))
  }

  @Test func `a block whose read fails once is read again, and one that stays unreadable is a gap`() throws {
    let (test, writer) = try TestLog.written(0..<3)
    // The header is read before it.
    test.disk.fail(atRead: test.disk.readCount + 2)
    #expect(try Reading(writer.view).inOrder == records(0..<3))
    let image = test.killed()
    let next = try image.openWriter()
    let path = try image.newestSegment
    try #require(image.disk.makeUnreadable(path, at: 8192 + 4090))
    let reading = try Reading(next.view)
    #expect(reading.gaps.map(\.reason) == [.unreadable])
    #expect(reading.lost == [Offset(0)])
    // When the disk reads it again, the next look finds it.
    image.disk.makeReadable(path)
    #expect(try Reading(next.view).inOrder == records(0..<3))
  }

  @Test func `a header whose read failed is read again, copy by copy`() throws {
    let (test, writer) = try TestLog.written(0..<3)
    test.disk.fail(atRead: test.disk.readCount + 1)
    #expect(try Reading(writer.view).inOrder == records(0..<3))
  }
}
