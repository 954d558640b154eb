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
        compress
        the same blocks with zstd and nothing else, one writes them in order into a file of zeros and syncs. Ours and \
        the
        probe in turn, on the same disk, --rounds times; the median counts. What is measured is removed afterwards.

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

    func measure(in directory: String) async throws -> BenchReport {
      let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
      let bench = AppendBench(directory: directory, events: events, isProbed: !withoutProbe)
      return try await bench.run(
        batch: batch, producers: producers, threads: threads, rounds: options.rounds, sweep: sweep)
    }
  }
}

/// `penstock-bench append`.
struct AppendBench {
  let directory: String
  let events: Int
  let isProbed: Bool

  func run(batch: Int, producers: Int, threads: Int, rounds: Int, sweep: Bool) async throws -> BenchReport {
    let batches = BenchEvents.batches(of: batch, for: events)
    let roofline = Roofline(batches)
    let log = try await Log.open(at: directory + "/log", configuration: BenchEvents.alone)
    // A handful of events is a trial of the command, not a measurement.
    if events >= 50_000 { try await BenchEvents.warmUp(log, batches) }
    let bytesPerEvent = Double(batches[0].payload.count) / Double(batches[0].count)
    var row = BenchRow(
      id: "append.streaming", measure: "streaming append, \(batch) a batch", unit: "events/s",
      probeIs: "the same blocks compressed on \(threads) threads, written and synced by one more",
      targets: [.atLeast(0.9), .atLeast(1_000_000, .ours)])
    var bytes = BenchRow(
      id: "append.bytes", measure: "  the same, in record bytes", unit: "MB/s", probeIs: "the same")
    for number in 0..<rounds {
      var (ours, probe): (Double, Double?) = (0, nil)
      // Who goes first alternates: what the disk still does for the one before, it does for both.
      for isOurs in number.isMultiple(of: 2) ? [true, false] : [false, true] {
        if isOurs {
          ours = try await rate(log, batches, producers)
        } else if isProbed {
          probe = try roofline.run(directory + "/probe", bytes: Int(Double(events) * bytesPerEvent), threads: threads)
        }
      }
      row.add(ours, probe.map { $0 / bytesPerEvent })
      bytes.add(ours * bytesPerEvent / 1e6, probe.map { $0 / 1e6 })
      ProgressLine.shared.update(number + 1, "round \(number + 1) of \(rounds)")
    }
    var report = BenchReport(
      bench: "append",
      parameters: [
        ("rounds", .number(rounds)), ("events", .number(events)), ("batch", .number(batch)),
        ("producers", .number(producers)), ("threads", .number(threads)), ("bytesPerEvent", .number(bytesPerEvent)),
      ])
    report.rows = [row, bytes]
    if sweep { report.series = try await sweeps(log, roofline, bytesPerEvent, threads, rounds: min(rounds, 3)) }
    try await log.close()
    if isProbed { report.rows.append(try await whileSealing(batches, producers, rounds, alone: row)) }
    return report
  }

  /// After the rounds without it and not in turn with them: a sealer continues after the appends.
  private func whileSealing(
    _ batches: [RecordBatch], _ producers: Int, _ rounds: Int, alone: BenchRow
  ) async throws -> BenchRow {
    var row = BenchRow(
      id: "append.sealing", measure: "  the same, while sealing", unit: "events/s", probeIs: "ours without sealing",
      note: "Full segments are sealed on the same cores, at a low priority")
    let log = try await Log.open(at: directory + "/sealed")
    if events >= 50_000 { try await BenchEvents.warmUp(log, batches) }
    for _ in 0..<rounds { row.add(try await rate(log, batches, producers), alone.ours) }
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

  private func sweeps(
    _ log: Log, _ roofline: Roofline, _ bytesPerEvent: Double, _ threads: Int, rounds: Int
  ) async throws -> [BenchSeries] {
    var bySize: [(Double, Double)] = []
    for size in [1, 10, 100, 500, 1000, 2000, 5000] {
      let batches = BenchEvents.batches(of: size, for: events)
      bySize.append((Double(size), try await median(rounds) { try await rate(log, batches, 1) }))
    }
    let hundreds = BenchEvents.batches(of: 100, for: events)
    var byProducers: [(Double, Double)] = []
    for producers in [1, 2, 4, 16, 64, 256] {
      byProducers.append((Double(producers), try await median(rounds) { try await rate(log, hundreds, producers) }))
    }
    let whole = BenchEvents.batches(of: 1000, for: events)
    var (byThreads, ours): ([(Double, Double)], [Double]) = ([], [])
    for threads in 1...max(1, threads) {
      // In turn: what the disk still does for the one, it does for the other.
      let reached = try await median(rounds) {
        ours.append(try await rate(log, whole, 1))
        return try roofline.run(directory + "/probe", bytes: Int(Double(events) * bytesPerEvent), threads: threads)
      }
      byThreads.append((Double(threads), reached / bytesPerEvent))
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

  private func median(_ rounds: Int, _ measure: () async throws -> Double) async throws -> Double {
    var values: [Double] = []
    for _ in 0..<rounds { values.append(try await measure()) }
    return Samples.median(values)
  }
}
