@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct ReadAheadTests {
  /// What a reader finds that continues after every gap.
  private func read(_ view: LogView, _ ahead: ReadAhead, maxRecords: Int, maxBytes: Int = 1 << 20) async throws
    -> Reading
  {
    var reading = try Reading(view, from: view.end)
    reading.end = .zero
    while reading.end < view.end {
      do throws(LogError) {
        let records = Records(view: view, start: .offset(reading.end), end: .end, readAhead: ahead)
        for try await batch in records.batches(maxRecords: maxRecords, maxBytes: maxBytes) {
          if batch.first != reading.end { Issue.record("\(batch.first) came after \(reading.end)") }
          reading.take(batch)
          reading.end = batch.end
        }
      } catch {
        let gap = try #require(error.gap, "\(error)")
        reading.gaps.append(gap)
        reading.end = gap.end
      }
    }
    return reading
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func `reading ahead finds the same records and gaps as reading in sequence`(seed: UInt64) async throws {
    let bench = try SealFixture(segments: 4, seed: seed)
    let image = bench.log.killed()
    var random = SplitMix64(seed: seed)
    for path in image.segments {
      for _ in 0..<random.below(4) {
        image.disk.flipBit(
          path, at: 8192 + random.below(max(1, try image.contents(path).count - 8192)), bit: random.below(8))
      }
    }
    if seed % 4 == 0 { try image.remove(image.segments[1]) }
    let sequential = try await image.openReader()
    let expected = try await read(sequential.view, .none, maxRecords: 1_000)
    #expect(expected == (try Reading(sequential.view)), "seed \(seed)")
    for (threads, maxRecords) in [(1, 1_000), (2, 1), (2, 7), (3, 1_000)] {
      let reader = try await image.openReader()
      let found = try await read(reader.view, .threads(threads), maxRecords: maxRecords, maxBytes: 9_000)
      #expect(found == expected, "seed \(seed), \(threads) threads, \(maxRecords) records")
    }
  }

  @Test func `segments are sealed and dropped under a reader that reads ahead`() async throws {
    for round in 0..<6 as Range<UInt64> {
      let (bench, writer) = try SealFixture.opened(segments: 5, seed: 40 + round)
      let view = writer.view
      let start = view.set.segments[2].name
      let reader = Task { try await read(view, .threads(2), maxRecords: 3) }
      try writer.sealAll()
      view.trim(to: start)
      let found = try await reader.value
      for (offset, bytes) in found.records { #expect(bytes == bench.expected[Int(offset.rawValue)].bytes) }
      // What was dropped before it was read is one gap; nothing else is missing.
      #expect(found.gaps.count <= 1 && found.gaps.allSatisfy { $0.end == start.baseOffset && $0.reason == .trimmed })
      #expect(found.records.count + found.lost.count == bench.expected.count)
    }
  }

  @Test func `reading ahead tails, and its threads end with the iterator, the log, and the task`() async throws {
    let log = try await TestLog().open()
    let tail = Task {
      var found: [String] = []
      for try await record in log.records(tailing: true, readAhead: .threads(2)) {
        found.append(record.text)
        if found.count == 40 { break }
      }
      return found
    }
    for number in 0..<40 { try await log.append("\(number)") }
    #expect(try await tail.value == (0..<40).map(String.init))
    let cancelled = Task { for try await _ in log.records(tailing: true, readAhead: .threads(2)) {} }
    cancelled.cancel()
    try await cancelled.value
    let closed = Task { for try await _ in log.records(tailing: true, readAhead: .threads(1)) {} }
    try await log.close()
    try await closed.value
  }

  // MARK: The queue

  @Test(arguments: 1...200 as ClosedRange<UInt64>)
  func `however workers and consumer interleave, blocks come in order and few are ahead`(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let depth = 1 + random.below(4)
    var queue = ReadAheadQueue<Int>(depth: depth)
    queue.restart(at: .zero)
    var (planning, working): ([ReadAheadQueue<Int>.Plan], [ReadAheadQueue<Int>.Plan]) = ([], [])
    var next = 0
    var restarts = 0
    for _ in 0..<2_000 where next < 60 {
      switch random.below(6) {
      case 0, 1:
        if let plan = queue.plan() { planning.append(plan) }
      case 2:
        guard let plan = planning.popLast() else { continue }
        queue.planned(plan, end: plan.offset.rawValue < 59 ? plan.offset + 1 : nil)
        working.append(plan)
      case 3:
        guard !working.isEmpty else { continue }
        let plan = working.remove(at: random.below(working.count))
        queue.done(plan, Int(plan.offset.rawValue))
      case 4:
        let has = queue.hasHead
        switch queue.take() {
        case .ready(let number):
          if number != next || !has { Issue.record("seed \(seed): \(number) instead of \(next)") }
          next += 1
        case .inProgress: if has { Issue.record("seed \(seed): a head that is not there") }
        case .nothing: Issue.record("seed \(seed): nothing, at \(next)")
        }
      default:
        // The consumer jumps; what was under way comes to nothing.
        guard random.below(20) == 0, restarts < 3 else { continue }
        restarts += 1
        next = random.below(60)
        queue.restart(at: Offset(UInt64(next)))
      }
      if planning.count + working.count > depth * (restarts + 1) { Issue.record("seed \(seed): too far ahead") }
    }
    #expect(next == 60, "seed \(seed)")
    if case .nothing = queue.take() {} else { Issue.record("seed \(seed): something behind the end") }
    queue.stop()
    #expect(queue.plan() == nil)
  }
}
