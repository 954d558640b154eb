import Benchmark
import BenchmarkSupport
import Foundation
import PenstockLog

let benchmarks: @Sendable () -> Void = {
  let metrics: [BenchmarkMetric] = [.wallClock, .peakMemoryResident]

  Benchmark(
    "open what a killed writer of 100,000 records left",
    configuration: .init(metrics: metrics, maxDuration: .seconds(5), maxIterations: 20)
  ) { benchmark in
    let scratch = try Scratch()
    let log = try await Log.open(at: scratch.path + "/log")
    for turn in 0..<100 { try await log.append(Records.batch(1000, from: turn * 1000), durability: .accepted) }
    try await log.sync()
    // The writer is still there: the copy is what a kill would leave.
    try FileManager.default.copyItem(atPath: scratch.path + "/log", toPath: scratch.path + "/killed")
    benchmark.startMeasurement()
    let recovered = try await Log.open(at: scratch.path + "/killed")
    benchmark.stopMeasurement()
    precondition(recovered.end == log.end)
    try await recovered.close()
    try await log.close()
  }

  Benchmark(
    "open a log that was closed", configuration: .init(metrics: metrics, maxDuration: .seconds(3), maxIterations: 100)
  ) { benchmark in
    let scratch = try Scratch()
    let log = try await Log.open(at: scratch.path + "/log")
    try await log.append(Records.batch(1000), durability: .disk)
    try await log.close()
    benchmark.startMeasurement()
    let again = try await Log.open(at: scratch.path + "/log")
    benchmark.stopMeasurement()
    try await again.close()
  }
}
