import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Ingest: BenchSubcommand {
    static let spokenName = "ingest"
    static let configuration = CommandConfiguration(
      abstract: "Taking events in over HTTP, against the log without HTTP and JSON.",
      discussion: """
        `penstock serve` runs as a process of its own, and so do the clients: each a connection that sends a body \
        made before the clock started, and waits for the answer, which comes after the sync. The probe is the log \
        alone: as many tasks append the same events in batches of the same size and wait for each, in turn with ours. \
        All of it shares one machine; how many processors the clients take is a row of its own. Below that, what one \
        thread reads of such bodies, against copying them.

          penstock-bench ingest
          penstock-bench ingest --connections 256 --batch 1000 --seconds 5 --dir /data/bench
          penstock-bench ingest --rounds 3 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Clients that send batches, a connection each.") var connections = 64
    @Option(help: "Events of a batch.") var batch = 100
    @Option(help: "Clients that send one event a request.") var singles = 256
    @Option(help: "How long each is measured in a round.") var seconds = 2.0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...2000).contains(connections) else { throw ValidationError("--connections must be 1 to 2000") }
      guard (1...2000).contains(singles) else { throw ValidationError("--singles must be 1 to 2000") }
      guard (1...20_000).contains(batch) else { throw ValidationError("--batch must be 1 to 20000") }
      guard (0.01...3600).contains(seconds) else { throw ValidationError("--seconds must be 0.01 to 3600") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      let bench = IngestBench(
        directory: directory, seconds: seconds, crowd: IngestCrowd(clients: connections, batch: batch),
        singles: IngestCrowd(clients: singles, batch: 1))
      return report(
        ("seconds", .number(seconds)), ("connections", .number(connections)), ("batch", .number(batch)),
        ("singles", .number(singles)), rows: try await bench.run(options))
    }
  }
}

/// Clients that each send so many events at a time and wait for the answer.
struct IngestCrowd {
  let clients: Int
  let batch: Int
}

/// `penstock-bench ingest`.
struct IngestBench {
  let directory: String
  let seconds: Double
  let crowd: IngestCrowd
  let singles: IngestCrowd

  func run(_ options: BenchOptions) async throws -> [BenchRow] {
    let engine = try await Log.open(at: directory + "/engine", configuration: BenchEvents.alone)
    try await warmUp(engine)
    let plain = try await service("plain", sealing: "off")
    defer { plain.end() }
    let sealing = try await service("sealing", sealing: "on")
    defer { sealing.end() }
    var rows = IngestRows(crowd: crowd, singles: singles)
    let reading = IngestReading(batch: crowd.batch)
    try await options.eachRound { _ in
      rows.add(batches: try load(plain, crowd), try await append(engine, crowd))
      rows.add(lines: try load(plain, crowd, .lines), sealing: try load(sealing, crowd))
      rows.add(singles: try load(plain, singles), try await append(engine, singles))
      rows.add(reading: try reading.measure())
    }
    try await engine.close()
    for service in [plain, sealing] { try await service.finish() }
    return rows.all
  }

  /// A service over a log that is past its first segment.
  private func service(_ name: String, sealing: String) async throws -> IngestService {
    let log = try await Log.open(at: directory + "/" + name, configuration: BenchEvents.alone)
    try await warmUp(log)
    try await log.close()
    return try IngestService(log: directory + "/" + name, sealing: sealing, events: log.end - log.first)
  }

  private func warmUp(_ log: Log) async throws {
    // Not where so little is measured that it is a test.
    if seconds >= 0.5 { try await BenchEvents.warmUp(log, BenchEvents.batches(of: 1000, for: 64_000)) }
  }

  private func load(
    _ service: IngestService, _ crowd: IngestCrowd, _ form: IngestForm = .array
  ) throws -> IngestFinding {
    let finding = try IngestLoad.run(
      ["--port", "\(service.port)", "--service", "\(service.pid)", "--clients", "\(crowd.clients)"]
        + ["--batch", "\(crowd.batch)", "--seconds", "\(seconds)", "--form", form.rawValue], in: directory)
    service.expect(finding.acknowledged)
    return finding
  }

  /// The probe: the log alone, from as many tasks.
  private func append(_ log: Log, _ crowd: IngestCrowd) async throws -> IngestFinding {
    let batches = BenchEvents.batches(of: crowd.batch, for: IngestBodies.events)
    let window = IngestWindow(seconds: seconds)
    let times = try await withThrowingTaskGroup(of: [Double].self) { group in
      for client in 0..<crowd.clients {
        group.addTask {
          var (times, turn) = ([Double](), client)
          while true {
            let began = BenchClock.now()
            if began >= window.end { return times }
            try await log.append(batches[turn % batches.count], durability: .disk)
            window.note(began, &times)
            turn += 1
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    return IngestFinding(window, times, batch: crowd.batch)
  }
}
