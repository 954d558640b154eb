import Foundation
import PenstockLog
import PenstockToolSupport

/// One log, one process that delivers it, and what its healthy destination sees.
struct IsolationTrial {
  let directory: String
  /// Destinations next to the healthy one, in YAML.
  let bad: String
  let stub: StubProcess
  let duration: Double
  let pace: Int

  struct Finding {
    var appended = 0.0
    var delivered = 0.0
    /// In milliseconds.
    var lag = Samples(seconds: [])
    /// Sorted.
    var records: [Double] = []

    /// In the order of the bench's rows.
    var figures: [Double] {
      func share(_ share: Double) -> Double {
        records.isEmpty ? .nan : records[min(records.count - 1, Int(share * Double(records.count)))]
      }
      return [appended, delivered, lag.percentile(0.5) / 1e3, lag.percentile(0.99) / 1e3, share(0.5), share(0.99)]
    }
  }

  /// When a batch was acknowledged, and where it ended.
  private struct Acknowledgement {
    var end: Int
    var moment: UInt64
  }

  func run() async throws -> Finding {
    let log = try await Log.open(at: directory + "/log", configuration: BenchEvents.alone)
    let batches = BenchEvents.batches(of: 1000, for: 64_000)
    // Every destination has something to fail at before anything is measured.
    try await log.append(batches[0], durability: .disk)
    let process = try DeliverProcess(
      log: directory + "/log", configuration: BenchDestinations.webhook("healthy", stub.url, maxWait: "100ms") + bad,
      in: directory, untilCaughtUp: false)
    defer { process.end() }
    guard await arrives(1000) else { throw Failure(.bad, "bench", "the healthy destination got nothing") }
    try await Task.sleep(for: .milliseconds(300))
    var finding = Finding()
    try await measureLag(log, &finding)
    try await measureRates(log, batches, &finding)
    process.end()
    try await log.close()
    return finding
  }

  /// Whether the stub hears of so many records soon.
  private func arrives(_ count: Int) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
      if (stub.heard.last.flatMap { Self.range($0)?.last } ?? -1) + 1 >= count { return true }
      try? await Task.sleep(for: .milliseconds(2))
    }
    return false
  }

  private func measureLag(_ log: Log, _ finding: inout Finding) async throws {
    stub.forget()
    let first = log.end - Offset(0)
    let size = max(1, pace / 200)
    let batches = BenchEvents.batches(of: size, for: 64_000)
    var said: [Acknowledgement] = []
    let started = ContinuousClock.now
    for turn in 0..<Int(duration * Double(pace) / Double(size)) {
      try await Task.sleep(until: started + .seconds(Double(turn * size) / Double(pace)), clock: .continuous)
      try await log.append(batches[turn % batches.count], durability: .disk)
      said.append(Acknowledgement(end: first + (turn + 1) * size, moment: BenchClock.now()))
    }
    guard await arrives(log.end - Offset(0)) else {
      throw Failure(.bad, "bench", "the healthy destination did not catch up")
    }
    var (ages, lags): ([Double], [Double]) = ([], [])
    for request in stub.heard {
      guard let range = Self.range(request), range.lowerBound >= first,
        let oldest = said.first(where: { $0.end > range.lowerBound })
      else { continue }
      ages.append(request.arrived > oldest.moment ? Double(request.arrived - oldest.moment) / 1e9 : 0)
      let end = said.last { $0.moment <= request.arrived }?.end ?? first
      lags.append(Double(max(0, end - range.lowerBound)))
    }
    finding.lag = Samples(seconds: ages)
    finding.records = lags.sorted()
  }

  private func measureRates(_ log: Log, _ batches: [RecordBatch], _ finding: inout Finding) async throws {
    stub.forget()
    let (from, started, now) = (log.end, ContinuousClock.now, BenchClock.now())
    var turn = 0
    while (ContinuousClock.now - started) / .seconds(1) < duration {
      try await log.append(batches[turn % batches.count], durability: .accepted)
      turn += 1
    }
    try await log.sync()
    let took = (ContinuousClock.now - started) / .seconds(1)
    finding.appended = Double(log.end - from) / took
    let until = now + UInt64(took * 1e9)
    let delivered = stub.heard.filter { $0.arrived <= until }.compactMap { Self.range($0) }.reduce(0) { $0 + $1.count }
    finding.delivered = Double(delivered) / took
  }

  private static func range(_ request: StubRequest) -> ClosedRange<Int>? {
    let ends = request.range.split(separator: "-").compactMap { Int($0) }
    return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
  }
}
