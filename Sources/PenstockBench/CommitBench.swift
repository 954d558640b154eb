import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Commit: BenchSubcommand {
    static let spokenName = "commit"
    static let configuration = CommandConfiguration(
      abstract: "How long one durable append takes, alone and among many, against writing and syncing as much.",
      discussion: """
        Alone: one record at a time, each on stable storage before the next, against writing and syncing 4 KiB in a \
        file of zeros; in bursts, in turn. Among many: --producers tasks that each append a record and wait for it, \
        against writing and syncing blocks of the size theirs came to.

          penstock-bench commit
          penstock-bench commit --dir /data/bench --producers 1024 --events 200000 --json
          penstock-bench commit --sweep
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events a round, of all producers together.") var events = 100_000
    @Option(help: "Tasks that append one record each and wait.") var producers = 256
    @Option(help: "Records a round, appended alone.") var singles = 600
    @Flag(help: "Also over numbers of producers, for plots.") var sweep = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...100_000_000).contains(events) else { throw ValidationError("--events must be 1 to 100000000") }
      guard (1...10_000).contains(producers) else { throw ValidationError("--producers must be 1 to 10000") }
      guard (1...1_000_000).contains(singles) else { throw ValidationError("--singles must be 1 to 1000000") }
    }
  }
}

extension BenchCommand.Commit {
  /// Ours and the probe take turns in bursts of so many.
  private static let burst = 50

  private struct Crowd {
    var rate = 0.0
    /// Processor time of the process for a record, in microseconds.
    var processor = 0.0
    var acknowledged = Samples(seconds: [])
    var blockBytes = 0
    var recordsPerBlock = 0.0
  }

  func measure(in directory: String) async throws -> BenchReport {
    let records = BenchEvents.batches(of: 1, for: 10_000)
    let log = try await Log.open(at: directory + "/log", configuration: BenchEvents.alone)
    if events >= 50_000 { try await BenchEvents.warmUp(log, BenchEvents.batches(of: 1000, for: 64_000)) }
    var report = report(
      ("events", .number(events)), ("producers", .number(producers)), ("singles", .number(singles)), rows: rows)
    let probe = directory + "/probe"
    var all: (ours: [Double], page: [Double], many: [Double]) = ([], [], [])
    try await options.eachRound { _ in
      let (ours, page) = try await alone(log, records, probe)
      all.ours += ours
      all.page += page
      let (one, raw) = (Samples(seconds: ours), Samples(seconds: page))
      report.rows[0].add(one.percentile(0.5), raw.percentile(0.5))
      report.rows[1].add(one.percentile(0.99), raw.percentile(0.99))
      let crowd = try await crowd(log, records, producers, events)
      let block = try syncs(crowd.blockBytes, probe)
      report.rows[2].add(crowd.rate, crowd.recordsPerBlock / (block.percentile(0.5) / 1e6))
      report.rows[3].add(crowd.acknowledged.percentile(0.99), block.percentile(0.99))
      report.rows[4].add(crowd.recordsPerBlock)
      report.rows[5].add(crowd.processor)
      report.rows[6].add(crowd.rate * crowd.processor / 1e6)
      report.rows[7].add(Double(ours.count) / ours.reduce(0, +), Double(page.count) / page.reduce(0, +))
      all.many += crowd.acknowledged.sorted.map { $0 / 1e6 }
    }
    report.series = [
      ("penstock, 1 producer", all.ours), ("write and sync 4 KiB", all.page),
      ("penstock, \(producers) producers", all.many),
    ].map { BenchSeries(plot: "commit-latency", name: $0, points: Samples(seconds: $1).distribution) }
    if sweep {
      var points: [(Double, Double)] = []
      for producers in [1, 4, 16, 64, 256, 1024] {
        let rate = try await crowd(log, records, producers, min(events, producers * 1000)).rate
        points.append((Double(producers), rate))
      }
      report.series.append(BenchSeries(plot: "commit-producers", name: "penstock, one record each", points: points))
    }
    try await log.close()
    return report
  }

  private var rows: [BenchRow] {
    let page = "4 KiB written and synced in a file of zeros"
    return [
      BenchRow("commit.single.p50", "1 producer, 1 record, p50", "µs", against: page, .atMost(1.15)),
      BenchRow("commit.single.p99", "1 producer, 1 record, p99", "µs", against: page, .atMost(1.5)),
      BenchRow(
        "commit.crowd.rate", "\(producers) awaiting producers", "events/s",
        against: "as many records as a block came to, for every write and sync of such a block; nothing compressed",
        .atLeast(400_000, .ours)),
      BenchRow(
        "commit.crowd.p99", "\(producers) awaiting producers, p99", "µs",
        against: "a block of the same size written and synced, p99", .atMost(2.5)),
      BenchRow("commit.crowd.block", "  records in a block", "records"),
      BenchRow("commit.crowd.cpu", "  processor time for a record", "µs"),
      BenchRow("commit.crowd.cores", "  processors kept busy", "cores"),
      BenchRow("commit.single.rate", "1 producer, 1 record", "events/s", against: page),
    ]
  }

  private func alone(
    _ log: Log, _ records: [RecordBatch], _ path: String
  ) async throws -> (ours: [Double], page: [Double]) {
    var probe = try SyncProbe(path, size: BlockFormat.alignment, count: singles)
    defer { probe.end() }
    var (ours, page): ([Double], [Double]) = ([], [])
    while ours.count < singles {
      for turn in 0..<min(Self.burst, singles - ours.count) {
        let record = records[(ours.count + turn) % records.count]
        ours.append(try await seconds { () async throws in try await log.append(record, durability: .disk) })
      }
      while page.count < ours.count { page.append(try seconds { () throws in try probe.once() }) }
    }
    return (ours, page)
  }

  private func crowd(_ log: Log, _ records: [RecordBatch], _ producers: Int, _ events: Int) async throws -> Crowd {
    let first = log.end
    let tickets = Tickets(events)
    var all: [Double] = []
    let before = processorSeconds()
    let took = try await seconds { () async throws in
      all = try await withThrowingTaskGroup(of: [Double].self) { group in
        for _ in 0..<producers {
          group.addTask {
            var times: [Double] = []
            times.reserveCapacity(events / producers * 2)
            while let number = tickets.take() {
              let started = ContinuousClock.now
              try await log.append(records[number % records.count], durability: .disk)
              times.append((ContinuousClock.now - started) / .seconds(1))
            }
            return times
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
    }
    let processor = processorSeconds() - before
    let blocks = try BenchEvents.blocks(log.view, from: first, to: log.end).map(\.1)
    return Crowd(
      rate: Double(events) / took, processor: processor / Double(events) * 1e6, acknowledged: Samples(seconds: all),
      blockBytes: blocks.reduce(0) { $0 + $1.length } / max(1, blocks.count),
      recordsPerBlock: Double(events) / Double(max(1, blocks.count)))
  }

  private func syncs(_ bytes: Int, _ path: String) throws -> Samples {
    var probe = try SyncProbe(path, size: bytes, count: 200)
    defer { probe.end() }
    return Samples(seconds: try (0..<singles).map { _ in try seconds { () throws in try probe.once() } })
  }
}
