@testable import PenstockLog
import PenstockTestKit
import Testing

/// A log of many commits over several segments, and what must be found in it for ever.
struct SealFixture {
  struct Expected: Equatable {
    var bytes: [UInt8]
    var appendTime: Timestamp
  }
  var log: TestLog
  var expected: [Expected] = []

  /// - Parameter segments: at least so many.
  init(segments: Int = 3, blockBytes: Int = 24 << 10, seed: UInt64 = 1) throws {
    log = TestLog(seed: seed)
    var settings = SealingSettings()
    settings.blockBytes = blockBytes
    log.configuration.sealing = .settings(settings)
    var random = SplitMix64(seed: seed)
    let writer = try log.openWriter()
    while writer.segmentCount < segments {
      // Some commits share a time.
      if random.below(3) > 0 { log.clock.advance(nanoseconds: Int64(1 + random.below(1_000_000_000))) }
      try commit(&random, writer)
    }
    try commit(&random, writer)
    try writer.close()
  }

  private mutating func commit(_ random: inout SplitMix64, _ writer: LogWriter) throws {
    var batch = RecordBatch()
    for _ in 0..<(1 + random.below(5)) {
      let bytes: [UInt8] =
        switch random.below(8) {
        case 0: []
        case 1: Array("two\nlines \(random.next())\n".utf8)
        case 2: random.bytes(random.below(6_000))
        default: record(expected.count)
        }
      batch.append(bytes, eventTime: random.below(2) == 0 ? Timestamp(nanoseconds: Int64(expected.count) * 10) : nil)
      expected.append(Expected(bytes: bytes, appendTime: log.clock.now()))
    }
    try writer.commit(batches: batch)
  }

  /// Such a log, and the writer of a process that has opened it.
  static func opened(
    segments: Int = 3, blockBytes: Int = 24 << 10, seed: UInt64 = 1
  ) throws -> (SealFixture, LogWriter) {
    let bench = try SealFixture(segments: segments, blockBytes: blockBytes, seed: seed)
    return (bench, try bench.log.openWriter())
  }

  func sealer(_ settings: SealingSettings = SealingSettings()) -> SegmentSealer {
    SegmentSealer(log.disk, TestLog.paths, settings, randomBytes: { [UInt8](repeating: 9, count: 16) })
  }

  /// Reads everything; what is lost is left out.
  static func read(_ view: LogView) throws -> [Offset: Expected] {
    let reading = try Reading(view)
    return reading.records.reduce(into: [:]) { found, record in
      guard let time = reading.appendTimes[record.key] else { return }
      found[record.key] = Expected(bytes: record.value, appendTime: time)
    }
  }

  func isWhole(_ view: LogView) throws -> Bool {
    let found = try Self.read(view)
    return found.count == expected.count && expected.indices.allSatisfy { found[Offset(UInt64($0))] == expected[$0] }
  }
}

extension LogWriter {
  /// Seals all segments but the newest.
  @discardableResult
  func sealAll() throws -> [SegmentSealer.Outcome] {
    var plan = SealingPlan()
    var outcomes: [SegmentSealer.Outcome] = []
    let sealer = try #require(sealer)
    while let job = plan.next(in: view.set.segments.map(\.name)) {
      outcomes.append(try sealer.seal(job, in: view))
      plan.finished(job, .done)
    }
    return outcomes
  }
}

extension SegmentSealer.Outcome {
  var seal: SegmentSeal? { if case .sealed(let seal) = self { seal } else { nil } }
  var isLeft: Bool { if case .left = self { true } else { false } }
}
