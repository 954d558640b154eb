import ArgumentParser
import Foundation
import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Deliver: BenchSubcommand {
    static let spokenName = "deliver"
    static let configuration = CommandConfiguration(
      abstract: "Delivering a log to a webhook and to S3, against a client that only sends the same bytes.",
      discussion: """
        `penstock deliver` runs as a process of its own, from its start until it has caught up; what receives is a \
        third process, which throws bodies away and answers as a webhook or an empty bucket would. The probe sends \
        bodies of the same sizes over one connection to the same receiver, in turn with ours: no log, no signature, \
        no compression. Where nothing is selected, the probe reads the stored blocks of the log and hashes them too.

          penstock-bench deliver
          penstock-bench deliver --events 5000000 --dir /data/bench --json
          penstock-bench deliver --memory --events 10000000

        With --memory: one process delivers to a webhook and to S3 at once, and the figure is the most memory that \
        was resident.
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events in the log.") var events = 3_000_000
    @Flag(help: "Memory instead of speed, to both destinations at once.") var memory = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1000...100_000_000).contains(events) else { throw ValidationError("--events must be 1000 to 100000000") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      let stub = try StubProcess(.accept, errors: directory + "/stub.stderr")
      defer { stub.end() }
      if memory { return try await DeliverMemory(directory: directory, events: events, stub: stub).run() }
      let (rows, bytesPerEvent) = try await DeliverBench(directory: directory, events: events, stub: stub).run(options)
      return report(("events", .number(events)), ("bytesPerEvent", .number(bytesPerEvent)), rows: rows)
    }
  }
}

/// `penstock-bench deliver`.
struct DeliverBench {
  let directory: String
  let events: Int
  let stub: StubProcess

  private var log: String { directory + "/log" }

  /// A destination that is measured, and its rows.
  private struct Lane {
    var configuration: (_ name: String, _ url: String) -> String
    var method: String
    var rate: BenchRow
    var processor: BenchRow
    /// Events a second that the work without the sending allows; nil without a comparison.
    var bound: Double?
    /// What the probe sends; nil: bodies of anything.
    var stored: StoredProbe?
  }

  func run(_ options: BenchOptions) async throws -> (rows: [BenchRow], bytesPerEvent: Double) {
    let batches = try await BenchEvents.fill(log, events: events)
    let bytes = (0..<(events + 999) / 1000).reduce(0) { $0 + batches[$1 % batches.count].byteCount }
    let bytesPerEvent = Double(bytes) / Double(events)
    var lanes = [webhook, try await copied(), try selected()]
    try await options.eachRound { number in
      for index in lanes.indices { try measure(&lanes[index], number, bytesPerEvent) }
    }
    return (lanes.flatMap { [$0.rate, $0.processor] }, bytesPerEvent)
  }

  /// One round: ours and the probe, who goes first in turn.
  private func measure(_ lane: inout Lane, _ round: Int, _ bytesPerEvent: Double) throws {
    let name = lane.rate.id.replacing(".", with: "-") + "-\(round)"
    stub.forget()
    // A name is a cursor, and a new one begins at the beginning.
    let cost = try DeliverProcess.cost(log: log, configuration: lane.configuration(name, stub.url), in: directory)
    let sizes = stub.heard.filter { $0.method == lane.method }.map(\.contentLength)
    let took = try lane.stored?.put(sizes, port: stub.port) ?? probe(sizes, lane.method)
    let raw = Double(events) / took
    let ours = Double(events) / cost.seconds
    lane.rate.add(ours, min(raw, lane.bound ?? .infinity))
    if lane.processor.unit == "cores" {
      lane.processor.add(cost.processorSeconds / cost.seconds)
    } else {
      lane.processor.add(cost.processorSeconds * 500e6 / (bytesPerEvent * Double(events)))
    }
  }

  /// Seconds that sending bodies of these sizes takes when there is nothing else to do.
  private func probe(_ sizes: [Int], _ method: String) throws -> Double {
    let client = try RawClient(port: stub.port)
    defer { client.end() }
    return try client.send(sizes, method: method)
  }

  private var webhook: Lane {
    Lane(
      configuration: { BenchDestinations.webhook($0, $1) }, method: "POST",
      rate: BenchRow(
        "deliver.webhook", "webhook, batches of 500", "events/s",
        against: "bodies of the same sizes over one connection", .atLeast(400_000, .ours)),
      processor: BenchRow("deliver.webhook.cores", "  processors it keeps busy", "cores", .atMost(1, .ours)))
  }

  private func copied() async throws -> Lane {
    Lane(
      configuration: { BenchDestinations.s3($0, $1) }, method: "PUT",
      rate: BenchRow(
        "deliver.s3", "S3, zstd, nothing selected", "events/s",
        against: "a client that reads the stored blocks, takes their SHA-256 and puts them", .atLeast(0.8)),
      processor: BenchRow("deliver.s3.processor", "  processor time for 500 MB of events", "s", .atMost(0.15, .ours)),
      stored: try await StoredProbe(of: log))
  }

  private func selected() throws -> Lane {
    Lane(
      configuration: { BenchDestinations.s3($0, $1, more: "    fields: { optional: [app_id] }\n") }, method: "PUT",
      rate: BenchRow(
        "deliver.s3.fields", "S3, zstd, fields selected", "events/s",
        against: "the same, or zstd on one core, whichever is slower", .atLeast(0.8)),
      processor: BenchRow("deliver.s3.fields.processor", "  processor time for 500 MB of events", "s"),
      bound: try zstdRate())
  }

  /// Events a second that one core compresses, of rows with the same fields, in frames of the same size.
  private func zstdRate() throws -> Double {
    let generator = EventGenerator()
    var renderer = NDJSONRenderer(selection: FieldSelection(keeping: [.appID]))
    var (event, rows): ([UInt8], [UInt8]) = ([], [])
    for number in 0..<8000 {
      event.removeAll(keepingCapacity: true)
      generator.append(number, to: &event)
      event.withUnsafeBytes { renderer.append($0, to: &rows) }
    }
    var best = Double.infinity
    for _ in 0..<3 {
      best = min(best, try seconds { () throws in _ = try rows.withUnsafeBytes { try Zstd.compress($0, level: 3) } })
    }
    return 8000 / best
  }
}
