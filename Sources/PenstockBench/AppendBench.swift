import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Append: BenchSubcommand {
    static let spokenName = "append"
    static let configuration = CommandConfiguration(
      abstract: "Streaming appends, against threads that only compress the same blocks, write and sync them.",
      discussion: """
        Every block is synced as it fills; no task waits for a single batch. The probe: as many threads as --threads \
        compress the same blocks with zstd and nothing else, one writes them in order into a file of zeros and syncs. \
        Ours and the probe in turn, on the same disk, --rounds times; the median counts. What is measured is removed \
        afterwards.

          penstock-bench append
          penstock-bench append --dir /data/bench --events 1000000 --batch 500 --producers 8 --threads 4 --json
          penstock-bench append --sweep
          perf record penstock-bench append --without-probe
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events a round.") var events = 400_000
    @Option(help: "Events appended at once.") var batch = 1000
    @Option(help: "Tasks that append.") var producers = 1
    @Option(help: "The probe's compressing threads; all cores unless set.") var threads: Int?
    @Flag(help: "Ours alone, for a profiler.") var withoutProbe = false
    @Flag(help: "Also over batch sizes, producers and threads, for plots.") var sweep = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...100_000_000).contains(events) else { throw ValidationError("--events must be 1 to 100000000") }
      guard (1...10_000).contains(batch) else { throw ValidationError("--batch must be 1 to 10000") }
      guard (1...10_000).contains(producers) else { throw ValidationError("--producers must be 1 to 10000") }
      guard (1...256).contains(threads ?? 1) else { throw ValidationError("--threads must be 1 to 256") }
    }
  }
}

extension BenchCommand.Append {
  func measure(in directory: String) async throws -> BenchReport {
    let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    let batches = BenchEvents.batches(of: batch, for: events)
    let roofline = Roofline(batches)
    let log = try await Log.open(at: directory + "/log", configuration: BenchEvents.alone)
    // A handful of events is a trial of the command, not a measurement.
    if events >= 50_000 { try await BenchEvents.warmUp(log, batches) }
    let bytesPerEvent = Double(batches[0].payload.count) / Double(batches[0].count)
    var row = BenchRow(
      "append.streaming", "streaming append, \(batch) a batch", "events/s",
      against: "the same blocks compressed on \(threads) threads, written and synced by one more",
      .atLeast(0.9), .atLeast(1_000_000, .ours))
    var bytes = BenchRow("append.bytes", "  the same, in record bytes", "MB/s", against: "the same")
    try await options.eachRound { number in
      var (ours, probe): (Double, Double?) = (0, nil)
      // Who goes first alternates: what the disk still does for the one before, it does for both.
      for isOurs in number.isMultiple(of: 2) ? [true, false] : [false, true] {
        if isOurs {
          ours = try await rate(log, batches, producers)
        } else if !withoutProbe {
          probe = try roofline.run(directory + "/probe", bytes: Int(Double(events) * bytesPerEvent), threads: threads)
        }
      }
      row.add(ours, probe.map { $0 / bytesPerEvent })
      bytes.add(ours * bytesPerEvent / 1e6, probe.map { $0 / 1e6 })
    }
    var report = report(
      ("events", .number(events)), ("batch", .number(batch)), ("producers", .number(producers)),
      ("threads", .number(threads)), ("bytesPerEvent", .number(bytesPerEvent)), rows: [row, bytes])
    if sweep {
      report.series = try await sweeps(log, threads) { threads in
        try roofline.run(directory + "/probe", bytes: Int(Double(events) * bytesPerEvent), threads: threads)
          / bytesPerEvent
      }
    }
    try await log.close()
    if !withoutProbe { report.rows.append(try await whileSealing(directory + "/sealed", batches, alone: row)) }
    return report
  }

  /// After the rounds without it and not in turn with them: a sealer continues after the appends.
  private func whileSealing(_ path: String, _ batches: [RecordBatch], alone: BenchRow) async throws -> BenchRow {
    var row = BenchRow(
      "append.sealing", "  the same, while sealing", "events/s", against: "ours without sealing",
      note: "Full segments are sealed on the same cores, at a low priority")
    let log = try await Log.open(at: path)
    if events >= 50_000 { try await BenchEvents.warmUp(log, batches) }
    for _ in 0..<options.rounds { row.add(try await rate(log, batches, producers), alone.ours) }
    try await log.close()
    return row
  }

  /// Events a second.
  private func rate(_ log: Log, _ batches: [RecordBatch], _ producers: Int) async throws -> Double {
    let size = batches[0].count
    let turns = (events + size - 1) / size
    let took = try await seconds { () async throws in
      try await BenchEvents.stream(log, batches, turns: turns, producers: producers)
    }
    return Double(turns * size) / took
  }

  /// - Parameter probe: events a second on so many threads.
  private func sweeps(_ log: Log, _ threads: Int, probe: (Int) throws -> Double) async throws -> [BenchSeries] {
    let bySize = try await points([1, 10, 100, 500, 1000, 2000, 5000]) { size in
      try await rate(log, BenchEvents.batches(of: size, for: events), 1)
    }
    let hundreds = BenchEvents.batches(of: 100, for: events)
    let byProducers = try await points([1, 2, 4, 16, 64, 256]) { try await rate(log, hundreds, $0) }
    let whole = BenchEvents.batches(of: 1000, for: events)
    var ours: [Double] = []
    let byThreads = try await points(Array(1...max(1, threads))) { threads in
      // In turn: what the disk still does for the one, it does for the other.
      ours.append(try await rate(log, whole, 1))
      return try probe(threads)
    }
    return [
      BenchSeries(plot: "append-batch", name: "penstock, 1 producer", points: bySize),
      BenchSeries(plot: "append-producers", name: "penstock, batches of 100", points: byProducers),
      BenchSeries(plot: "append-threads", name: "probe: compress, write, sync", points: byThreads),
      BenchSeries(
        plot: "append-threads", name: "penstock, as configured",
        points: byThreads.map { ($0.0, Samples.median(ours)) }),
    ]
  }

  /// The median of a few rounds, for each number.
  private func points(_ numbers: [Int], _ measure: (Int) async throws -> Double) async throws -> [(Double, Double)] {
    var points: [(Double, Double)] = []
    for number in numbers {
      var values: [Double] = []
      for _ in 0..<min(options.rounds, 3) { values.append(try await measure(number)) }
      points.append((Double(number), Samples.median(values)))
    }
    return points
  }
}
