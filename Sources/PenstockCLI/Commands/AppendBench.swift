import Foundation
import PenstockLog

/// `penstock bench append`.
struct AppendBench {
  let directory: String
  let events: Int
  let batchRecords: Int
  private static let rounds = 5
  private static let singles = 300

  struct Round {
    /// Of record bytes, line ends counted, per second.
    var ours = 0.0
    var probe = 0.0
    /// Seconds each, sorted.
    var oursSingle: [Double] = []
    var probeSingle: [Double] = []
  }

  func run() async throws -> [Round] {
    // Made once, and used again and again, so that making them is not in the figure.
    let generator = EventGenerator()
    let count = min(64, (events + batchRecords - 1) / batchRecords)
    let batches = (0..<count).map { generator.batch(($0 * batchRecords)..<(($0 + 1) * batchRecords)) }
    let turns = (events + batchRecords - 1) / batchRecords
    let log = try await Log.open(at: directory + "/log")
    var rounds: [Round] = []
    ProgressLine.shared.begin("measuring", total: nil)
    for number in 0..<Self.rounds {
      var round = Round()
      // Who goes first alternates: what the disk still does for the one before, it does for both.
      for turn in number % 2 == 0 ? [true, false] : [false, true] {
        if turn {
          round.ours = try await ours(log, batches, turns)
          round.oursSingle = try await oursSingle(log, batches[0])
        } else {
          (round.probe, round.probeSingle) = try probe(batches, turns)
        }
      }
      rounds.append(round)
      ProgressLine.shared.update(
        (number + 1) * turns * batches[0].payload.count, "round \(number + 1) of \(Self.rounds)")
    }
    try await log.close()
    return rounds
  }

  private func ours(_ log: Log, _ batches: [RecordBatch], _ turns: Int) async throws -> Double {
    let pipeline = AppendPipeline(log, .disk) { _, _ in }
    let started = ContinuousClock.now
    var bytes = 0
    for turn in 0..<turns {
      let batch = batches[turn % batches.count]
      bytes += batch.payload.count
      try await pipeline.append(batch)
    }
    try await pipeline.finish()
    return Double(bytes) / ((ContinuousClock.now - started) / .seconds(1))
  }

  private func oursSingle(_ log: Log, _ events: RecordBatch) async throws -> [Double] {
    var times: [Double] = []
    var event: [UInt8] = []
    for number in 0..<Self.singles {
      event.removeAll(keepingCapacity: true)
      EventGenerator(seed: 2).append(number, to: &event)
      let started = ContinuousClock.now
      try await log.append(contentsOf: CollectionOfOne(event))
      times.append((ContinuousClock.now - started) / .seconds(1))
    }
    return times.sorted()
  }

  private func probe(_ batches: [RecordBatch], _ turns: Int) throws -> (Double, [Double]) {
    let bytes = turns * (batches.map(\.payload.count).max() ?? 0)
    // Room for what does not compress at all, but no more than a probe can need of it.
    var probe = try RawProbe(directory + "/probe", bytes: bytes / 2 + Self.singles * 4096 + (1 << 20))
    defer { probe.end() }
    let started = ContinuousClock.now
    var done = 0
    for turn in 0..<turns {
      let payload = batches[turn % batches.count].payload
      done += payload.count
      try probe.append(payload)
    }
    let rate = Double(done) / ((ContinuousClock.now - started) / .seconds(1))
    let page = [UInt8](repeating: 0x55, count: 4096)
    var times: [Double] = []
    for _ in 0..<Self.singles {
      let started = ContinuousClock.now
      try probe.appendPage(page)
      times.append((ContinuousClock.now - started) / .seconds(1))
    }
    return (rate, times.sorted())
  }

  // MARK: Figures

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private static func percentile(_ share: Double, _ rounds: [Round], _ times: KeyPath<Round, [Double]>) -> Double {
    median(
      rounds.map { round in
        let sorted = round[keyPath: times]
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
      })
  }

  private static let microseconds = 1e6

  func json(_ rounds: [Round], _ machine: JSON) -> JSON {
    let (ours, probe) = (Self.median(rounds.map(\.ours)), Self.median(rounds.map(\.probe)))
    func micro(_ share: Double, _ times: KeyPath<Round, [Double]>) -> JSON {
      .number(Self.percentile(share, rounds, times) * Self.microseconds)
    }
    return .object([
      ("bench", .string("append")), ("rounds", .number(rounds.count)), ("events", .number(events)),
      ("batch", .number(batchRecords)),
      (
        "streaming",
        .object([
          ("bytesPerSecond", .number(ours)), ("probeBytesPerSecond", .number(probe)), ("ratio", .number(ours / probe)),
          ("eachRound", .array(rounds.map { .array([.number($0.ours), .number($0.probe)]) })),
        ])
      ),
      (
        "single",
        .object([
          ("p50Microseconds", micro(0.5, \.oursSingle)), ("p99Microseconds", micro(0.99, \.oursSingle)),
          ("probeP50Microseconds", micro(0.5, \.probeSingle)), ("probeP99Microseconds", micro(0.99, \.probeSingle)),
          (
            "ratioP50",
            .number(
              Self.percentile(0.5, rounds, \.oursSingle) / max(1e-9, Self.percentile(0.5, rounds, \.probeSingle)))
          ),
        ])
      ),
      ("machine", machine),
    ])
  }

  func words(_ rounds: [Round]) -> String {
    let (ours, probe) = (Self.median(rounds.map(\.ours)), Self.median(rounds.map(\.probe)))
    func micro(_ share: Double, _ times: KeyPath<Round, [Double]>) -> String {
      String(format: "%.0f µs", Self.percentile(share, rounds, times) * Self.microseconds)
    }
    func ratio(_ a: Double, _ b: Double) -> String { String(format: "%.2f", a / max(b, 1e-9)) }
    let p50 = (Self.percentile(0.5, rounds, \.oursSingle), Self.percentile(0.5, rounds, \.probeSingle))
    let p99 = (Self.percentile(0.99, rounds, \.oursSingle), Self.percentile(0.99, rounds, \.probeSingle))
    return Words.table(
      [
        ["median of \(rounds.count) rounds", "ours", "probe", "ours / probe"],
        [
          "streaming, \(batchRecords) a batch", "\(Words.bytes(Int(ours)))/s", "\(Words.bytes(Int(probe)))/s",
          ratio(ours, probe),
        ],
        ["single record, p50", micro(0.5, \.oursSingle), micro(0.5, \.probeSingle), ratio(p50.0, p50.1)],
        ["single record, p99", micro(0.99, \.oursSingle), micro(0.99, \.probeSingle), ratio(p99.0, p99.1)],
      ], right: [1, 2, 3])
  }
}
