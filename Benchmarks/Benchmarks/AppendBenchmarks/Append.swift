import Benchmark
import BenchmarkSupport
import PenstockLog

let benchmarks: @Sendable () -> Void = {
  let metrics: [BenchmarkMetric] = [.wallClock, .throughput, .peakMemoryResident]

  Benchmark(
    "one record, durable", configuration: .init(metrics: metrics, maxDuration: .seconds(3), maxIterations: 2000)
  ) { benchmark in
    let scratch = try Scratch()
    let log = try await Log.open(at: scratch.path + "/log")
    let record = Records.batch(1)
    benchmark.startMeasurement()
    try await log.append(record, durability: .disk)
    benchmark.stopMeasurement()
    try await log.close()
  }

  Benchmark(
    "100 batches of 1000, streamed, then synced",
    configuration: .init(metrics: metrics, maxDuration: .seconds(5), maxIterations: 20)
  ) { benchmark in
    let scratch = try Scratch()
    let log = try await Log.open(at: scratch.path + "/log")
    let batches = (0..<10).map { Records.batch(1000, from: $0 * 1000) }
    benchmark.startMeasurement()
    for turn in 0..<100 { try await log.append(batches[turn % batches.count], durability: .accepted) }
    try await log.sync()
    benchmark.stopMeasurement()
    try await log.close()
  }

  Benchmark(
    "256 tasks, 8 records each, one at a time, durable",
    configuration: .init(metrics: metrics, maxDuration: .seconds(3), maxIterations: 50)
  ) { benchmark in
    let scratch = try Scratch()
    let log = try await Log.open(at: scratch.path + "/log")
    let record = Records.batch(1)
    benchmark.startMeasurement()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<256 {
        group.addTask { for _ in 0..<8 { try await log.append(record, durability: .disk) } }
      }
      try await group.waitForAll()
    }
    benchmark.stopMeasurement()
    try await log.close()
  }
}
