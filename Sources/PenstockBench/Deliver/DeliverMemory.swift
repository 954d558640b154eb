import Foundation
import PenstockSupport
import PenstockToolSupport

/// `penstock-bench deliver --memory`.
struct DeliverMemory {
  let directory: String
  let events: Int
  let stub: StubProcess

  /// One round is enough: it is a peak, and the work is long.
  func run() async throws -> BenchReport {
    let log = directory + "/log"
    _ = try await BenchEvents.fill(log, events: events)
    let both = BenchDestinations.webhook("webhook", stub.url) + BenchDestinations.s3("archive", stub.url)
    let started = ContinuousClock.now
    let process = try DeliverProcess(log: log, configuration: both, in: directory, untilCaughtUp: true)
    var samples: [ProcessMemory] = []
    await process.watch(every: .milliseconds(100)) { samples.append($0) }
    try process.wait()
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    try check()
    return BenchReport(
      bench: "deliver-memory", parameters: [("events", .number(events))], rows: [row(samples, seconds)])
  }

  /// Each record has reached the webhook; how much has reached the bucket is not the stub's to say.
  private func check() throws(Failure) {
    let last = stub.heard.compactMap { $0.range.split(separator: "-").last.flatMap { Int($0) } }.max() ?? -1
    guard last + 1 >= events else {
      throw Failure(.bad, "bench", "only \(last + 1) of \(events) events were delivered")
    }
  }

  private func row(_ samples: [ProcessMemory], _ seconds: Double) -> BenchRow {
    // The process that is not one yet, and the one that is not one any more, have none.
    let resident = samples.map(\.resident).filter { $0 > 0 }
    let peak = samples.map(\.peak).max() ?? 0
    var row = BenchRow(
      "deliver.memory", "memory of delivering \(HumanFormat.count(events)) events to both", "MiB",
      against: "resident after the first sixteenth of the time", .atMost(96, .ours))
    let course = (1...16).compactMap { part in
      resident.isEmpty ? nil : resident[min(resident.count - 1, resident.count * part / 16)] >> 20
    }
    row.note =
      "Over time: \(course.map(String.init).joined(separator: ", ")) MiB; "
      + "\(HumanFormat.count(Int(Double(events) / seconds))) events/s to each"
    // Other kernels do not say: then there is no figure, and no claim.
    if peak > 0 { row.add(Double(peak) / 1_048_576, course.first.map(Double.init)) }
    return row
  }
}
