@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct SeekingTests {
  @Test func `a rising row is searched right, whatever it is, with few questions`() {
    // Every rising row of up to six values among five, every target.
    func rising(_ count: Int, from least: Int64) -> [[Int64]] {
      if count == 0 { return [[]] }
      return (least...4).flatMap { first in rising(count - 1, from: first).map { [first] + $0 } }
    }
    for row in (0...6).flatMap({ rising($0, from: 0) }) {
      for target in -1...5 as ClosedRange<Int64> {
        let (found, _) = search(row, target)
        if found != row.firstIndex(where: { $0 >= target }) ?? row.count { Issue.record("\(row), \(target): \(found)") }
      }
    }
    let rows: [(String, [Int64])] = [
      ("even", (0..<1_500).map { Int64($0) * 60_000_000_000 }), ("squares", (0..<1_500).map { Int64($0 * $0) }),
      ("all at the end", [Int64](repeating: 5, count: 1_499) + [.max]),
      ("one outlier", [.min] + [Int64](repeating: 0, count: 1_499)),
      ("extremes", (0..<1_500).map { $0 < 700 ? .min : .max }),
      ("closer than a Double tells apart", (0..<1_500).map { 1_700_000_000_000_000_000 + Int64($0 / 12) as Int64 }),
    ]
    for (name, row) in rows {
      var most = 0
      for target in row.flatMap({ [$0, $0 &+ 1] }) + [.min, .max, 7] {
        let (found, questions) = search(row, target)
        if found != row.firstIndex(where: { $0 >= target }) ?? row.count { Issue.record("\(name), \(target)") }
        most = max(most, questions)
      }
      #expect(most <= (name == "even" ? 6 : 27), "\(name): \(most) questions")
    }
  }

  @Test func `what is likely to be asked for next mostly is, where values are even`() {
    let row = (0..<1_490).map { Int64($0) * 60_000_000_000 }
    var (said, right, near) = (0, 0, 0)
    for target in row.dropFirst().map({ $0 - 7 }) {
      var search = InterpolationSearch(count: row.count, target: target)
      var likely: Int?
      while let index = search.next() {
        if let likely { right += likely == index ? 1 : 0 }
        likely = search.likelyNext(after: index)
        if let likely {
          said += 1
          #expect(likely != index && row.indices.contains(likely))
          if search.isNear { near += likely == row.firstIndex { $0 >= target }.map { $0 - 1 } ? 1 : 0 }
        }
        search.record(row[index], at: index)
      }
    }
    #expect(said > 2 * 1_400 && right > said * 9 / 10, "\(right) of \(said)")
    #expect(near > 1_400, "the segment whose index is read beside it is the one that is found: \(near) of 1489")
  }

  private func search(_ row: [Int64], _ target: Int64) -> (Int, questions: Int) {
    var search = InterpolationSearch(count: row.count, target: target)
    var questions = 0
    while let index = search.next() {
      questions += 1
      search.record(row[index], at: index)
      if questions > 200 { return (-1, questions) }
    }
    return (search.result, questions)
  }

  /// A log of many segments of 14 blocks, a second and a rising event time to the block, some late.
  private func long(_ blocks: Int, seed: UInt64 = 1) throws -> (TestLog, [Int64?]) {
    let (test, writer) = try TestLog.written()
    var random = SplitMix64(seed: seed)
    var times: [Int64?] = []
    for number in 0..<blocks {
      test.clock.advance(seconds: 1)
      var batch = RecordBatch()
      for _ in 0..<2 {
        let time: Int64? = random.below(5) == 0 ? nil : Int64(number * 10 - random.below(60))
        times.append(time)
        batch.append(record(times.count), eventTime: time.map { Timestamp(nanoseconds: $0) })
      }
      try writer.commit(batches: batch)
    }
    try writer.close()
    return (test, times)
  }

  @Test func `a cold seek reads a header, an index and a block; a time a few headers more`() async throws {
    let (test, _) = try long(14 * 64 + 3)
    #expect(test.segments.count == 65)
    let began = test.clock.now().nanoseconds - Int64(14 * 64 + 2) * 1_000_000_000
    for number in [0, 5, 777, 14 * 40 + 13] {
      let image = test.killed()
      func reads(_ body: (LogReader) throws(LogError) -> Offset?) async throws -> (Int, Offset?) {
        let reader = try await image.openReader()
        let before = image.disk.readCount
        let found = try body(reader)
        return (image.disk.readCount - before, found)
      }
      let first = Offset(UInt64(2 * number))
      let byOffset = try await reads { (reader) throws(LogError) in
        try reader.view.batch(from: first + 1, maxRecords: 1, maxBytes: 9_999)?.first
      }
      #expect(byOffset == (3, first + 1))
      let time = Timestamp(nanoseconds: began + Int64(number) * 1_000_000_000)
      let byTime = try await reads { (reader) throws(LogError) in try reader.offset(of: .time(time)) }
      #expect(byTime.0 <= 1 + 2 + 9 && byTime.1 == first, "\(byTime) reads among 65 segments")
      let event = Timestamp(nanoseconds: Int64(number * 10))
      let byEventTime = try await reads { (reader) throws(LogError) in try reader.offset(of: .eventTime(event)) }
      #expect(byEventTime.0 <= 1 + 2 + 11, "\(byEventTime) reads among 65 segments")
      #expect(image.disk.openHandleCount < 10)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `no event at or after a time stands before the place found, and the place is a block's that may hold one`(
    seed: UInt64
  ) async throws {
    var (test, times) = try long(60, seed: seed)
    test.configuration.sealing = .settings(SealingSettings())
    func check(_ reader: LogReader, _ name: String, dropped: Int = 0) throws {
      for time in stride(from: Int64(-70), to: 620, by: 9) {
        let place = try reader.offset(of: .eventTime(Timestamp(nanoseconds: time)))
        let exact = times.indices.first { $0 >= dropped && (times[$0] ?? .min) >= time }
        let index = Int(place.rawValue)
        guard let exact else {
          #expect(place == reader.end, "\(name), seed \(seed), \(time)")
          continue
        }
        // Not behind the first one, and in its block.
        let entry = try reader.view.locate(Offset(UInt64(exact)))
        guard case .block(_, let block) = entry else { throw LogError(.damaged, "no block") }
        #expect(index <= exact && place == block.baseOffset, "\(name), seed \(seed), \(time)")
      }
    }
    try check(try await test.openReader(), "open")
    let writer = try test.openWriter()
    try writer.sealAll()
    try check(try await test.openReader(), "sealed")
    // Retention drops the beginning, and an event of the far future with it: then headers cannot tell.
    let third = writer.view.set.segments[2].name
    let reader = try await test.openReader()
    reader.view.trim(to: third)
    try check(reader, "trimmed", dropped: Int(third.baseOffset.rawValue))
    try writer.close()
  }

  @Test func `a range of event times leads to the blocks that may hold some, and to no other`() async throws {
    let (test, times) = try long(60, seed: 9)
    let reader = try await test.openReader()
    for (low, high) in [(0, 100), (250, 260), (300, 300), (-100, 1_000), (595, 999)] as [(Int64, Int64)] {
      let range = Timestamp(nanoseconds: low)..<Timestamp(nanoseconds: high)
      let found = try reader.offsets(mayHold: range)
      let covered = Set(
        found.flatMap { range in
          (0..<(range.upperBound - range.lowerBound)).map { Int((range.lowerBound + $0).rawValue) }
        })
      for (index, time) in times.enumerated() where low <= (time ?? .min) && (time ?? .min) < high {
        #expect(covered.contains(index), "\(low) to \(high): \(index)")
      }
      // A block of two records is there when one of them, or the time between them, is in the range.
      for index in covered {
        let pair = [times[index / 2 * 2], times[index / 2 * 2 + 1]].compactMap { $0 }
        #expect(!pair.isEmpty && pair.max() ?? 0 >= low && pair.min() ?? 0 < high)
      }
      for (a, b) in zip(found, found.dropFirst()) { #expect(a.upperBound < b.lowerBound) }
    }
    let part = try reader.offsets(
      mayHold: Timestamp(nanoseconds: 0)..<Timestamp(nanoseconds: 400), from: .offset(Offset(31)),
      to: .offset(Offset(40)))
    #expect(part.allSatisfy { $0.lowerBound >= Offset(31) && $0.upperBound <= Offset(40) } && !part.isEmpty)
  }

  @Test func `where headers do not say what event times came before, the indexes are asked`() throws {
    let (test, times) = try long(40)
    // As an earlier version wrote them: without the field. The chain, which begins in the header, finds the newest.
    for path in test.segments.dropLast() {
      var bytes = try test.contents(path)
      var header = try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) }
      try #require(header.latestEventTime != nil)
      header.latestEventTime = nil
      bytes.replaceSubrange(..<SegmentHeader.size, with: header.encoded())
      test.disk.install(path, bytes)
    }
    let segments = try test.segments.map { path in
      Segment(test.disk, try test.contents(path).withUnsafeBytes { try SegmentHeader(decoding: $0) }.name, path: path)
    }
    let view = LogView()
    view.publish(SegmentSet(segments: segments, end: Offset(80)))
    for time in stride(from: Int64(-70), to: 410, by: 7) {
      let exact = times.firstIndex { ($0 ?? .min) >= time } ?? times.count
      #expect(try view.offset(atOrAfterEventTime: time) == Offset(UInt64(exact / 2 * 2)))
    }
  }
}
