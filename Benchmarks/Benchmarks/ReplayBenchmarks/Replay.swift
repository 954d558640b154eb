import Benchmark
import BenchmarkSupport
import PenstockLog

let benchmarks: @Sendable () -> Void = {
  let metrics: [BenchmarkMetric] = [.wallClock, .throughput, .peakMemoryResident]
  let events = 100_000

  Benchmark(
    "100,000 records by the batch, nothing copied",
    configuration: .init(metrics: metrics, maxDuration: .seconds(5), maxIterations: 50)
  ) { benchmark in
    let (scratch, path) = try await filled(events)
    let reader = try await LogReader.open(at: path)
    var bytes = 0
    benchmark.startMeasurement()
    for try await batch in reader.records().batches() { batch.forEachRecord { bytes += $0.bytes.count } }
    benchmark.stopMeasurement()
    blackHole(bytes)
    reader.close()
    withExtendedLifetime(scratch) {}
  }

  Benchmark(
    "100,000 records one by one, each with bytes of its own",
    configuration: .init(metrics: metrics, maxDuration: .seconds(5), maxIterations: 50)
  ) { benchmark in
    let (scratch, path) = try await filled(events)
    let reader = try await LogReader.open(at: path)
    var bytes = 0
    benchmark.startMeasurement()
    for try await record in reader.records() { bytes += record.bytes.count }
    benchmark.stopMeasurement()
    blackHole(bytes)
    reader.close()
    withExtendedLifetime(scratch) {}
  }
}

/// A closed log of so many records.
private func filled(_ events: Int) async throws -> (Scratch, String) {
  let scratch = try Scratch()
  let path = scratch.path + "/log"
  let log = try await Log.open(at: path)
  for first in stride(from: 0, to: events, by: 1000) {
    try await log.append(Records.batch(1000, from: first), durability: .accepted)
  }
  try await log.close()
  return (scratch, path)
}
