import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Single: BenchSubcommand {
    static let spokenName = "single"
    static let configuration = CommandConfiguration(
      abstract: "One event a request, to a receiver that takes its time, against clients that only send.",
      discussion: """
        A process delivers what a log holds to one webhook, one event a request, with as many requests in flight as \
        the webhook may have. The receiver answers after a delay; the bench fails unless each event has arrived once. \
        The probe is as many connections that send bodies of about the same size to the same receiver, each one \
        request at a time.

          penstock-bench single
          penstock-bench single --delay 20 --in-flight 16 --events 5000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events in the log.") var events = 1280
    @Option(help: "Milliseconds from a request to its answer.") var delay = 100
    @Option(help: "Requests in flight at once.") var inFlight = 64
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...10_000_000).contains(events) else { throw ValidationError("--events must be 1 to 10000000") }
      guard (0...20_000).contains(delay) else { throw ValidationError("--delay must be 0 to 20000") }
      guard (1...256).contains(inFlight) else { throw ValidationError("--in-flight must be 1 to 256") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      let probe = "\(HumanFormat.count(inFlight, "connection")) that only send"
      var rows = [
        BenchRow(
          "single", "one event a request, answered after \(delay) ms", "events/s", against: probe, .atLeast(0.9)),
        BenchRow("single.processor", "  processor time of 1,000 events", "s"),
        BenchRow("single.memory", "  peak memory", "MiB"),
      ]
      try await options.eachRound { round in
        // Who goes first changes.
        let before = round.isMultiple(of: 2) ? nil : try await raw()
        let trial = trial(directory + "/single")
        defer { trial.remove() }
        let found = try await trial.backlog(events)
        let raw = if let before { before } else { try await raw() }
        rows[0].add(found.rate, raw)
        rows[1].add(found.fleet.processorSeconds * 1000 / Double(events))
        // Other kernels do not say: then there is no figure.
        if found.peak > 0 { rows[2].add(found.peak) }
      }
      return report(
        ("events", .number(events)), ("delayMilliseconds", .number(delay)), ("inFlight", .number(inFlight)), rows: rows)
    }

    private func trial(_ directory: String) -> FleetTrial {
      FleetTrial(
        directory: directory, apps: 1, setting: .init(destinations: 1, batch: 1), delay: .milliseconds(delay),
        arguments: ["--single", "--in-flight", "\(inFlight)"])
    }

    /// Requests a second of clients that do nothing but send.
    private func raw() async throws -> Double {
      let events = AppEvents(apps: 1, order: .mixed, count: events)
      let size = events.batch(0..<1).byteCount
      let receiver = try EventReceiver(EventLedger(events, count: 0, destinations: 1), delay: .milliseconds(delay))
      defer { receiver.end() }
      let clients = try (0..<inFlight).map { _ throws in try RawClient(port: receiver.port) }
      defer { for client in clients { client.end() } }
      let each = max(1, self.events / inFlight)
      let took = try await seconds {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for client in clients { group.addTask { try await client.sendOnThread(each, of: size) } }
          try await group.waitForAll()
        }
      }
      return Double(each * inFlight) / took
    }
  }
}

extension RawClient {
  /// Sends on a thread of its own: it blocks.
  fileprivate func sendOnThread(_ count: Int, of size: Int) async throws {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      Thread {
        done.resume(with: Result { _ = try send(Array(repeating: size, count: count), method: "POST") })
      }.start()
    }
  }
}
