import ArgumentParser
import Foundation
import PenstockSinks
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Destinations: BenchSubcommand {
    static let spokenName = "destinations"
    static let configuration = CommandConfiguration(
      abstract: "A service with thousands of destinations: its start, its memory, and what it costs while idle.",
      discussion: """
        `penstock serve` runs as a process of its own, with webhooks that want one app each. When it is ready, it is \
        left alone for a while. Then the apps of some webhooks get events, at a fixed rate, by HTTP; the bench fails \
        unless each has arrived once, where it is wanted.

          penstock-bench destinations
          penstock-bench destinations --destinations 1000 --busy 50 --rounds 1 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Webhooks.") var destinations = 10_000
    @Option(help: "Webhooks that get events.") var busy = 200
    @Option(help: "Events a second, all together.") var rate = 2000
    @Option(name: .customLong("seconds"), help: "How long it is left alone, and how long it gets events.")
    var duration = 20.0
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...100_000).contains(destinations) else { throw ValidationError("--destinations must be 1 to 100000") }
      guard (1...destinations).contains(busy) else {
        throw ValidationError("--busy must be 1 to the number of destinations")
      }
      guard (10...1_000_000).contains(rate) else { throw ValidationError("--rate must be 10 to 1000000") }
      guard (0.5...3600).contains(duration) else { throw ValidationError("--seconds must be 0.5 to 3600") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      let many = HumanFormat.count(destinations, "destination")
      var rows = [
        BenchRow("destinations.ready", "\(many): ready in", "s", .atMost(5, .ours)),
        BenchRow("destinations.idle", "  memory, idle", "MiB"),
        BenchRow("destinations.idle.cpu", "  idle", "% of a core", .atMost(2, .ours)),
        BenchRow("destinations.busy", "  memory, \(busy) of them busy", "MiB", .atMost(256, .ours)),
        BenchRow("destinations.busy.cores", "  processors it keeps busy then", "cores"),
      ]
      try await options.eachRound { round in
        let found = try await DestinationsTrial(self, directory + "/trial-\(round)").run()
        for (row, figure) in found.enumerated() { rows[row].add(figure) }
      }
      return report(
        ("destinations", .number(destinations)), ("busy", .number(busy)), ("rate", .number(rate)),
        ("seconds", .number(duration)), rows: rows)
    }
  }
}

/// One start of a service with many destinations.
private struct DestinationsTrial {
  private let command: BenchCommand.Destinations
  private let directory: String
  private let events: AppEvents
  private let plan: LivePlan

  init(_ command: BenchCommand.Destinations, _ directory: String) {
    (self.command, self.directory) = (command, directory)
    events = AppEvents(apps: command.busy, order: .mixed, count: 0)
    plan = LivePlan(rate: command.rate, seconds: command.duration, turnsASecond: 10)
  }

  /// The figures in the order of the rows.
  func run() async throws -> [Double] {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let receiver = try EventReceiver(EventLedger(events, count: plan.count, destinations: command.destinations))
    defer { receiver.end() }
    let settings = try configuration(port: receiver.port)
    let started = ContinuousClock.now
    let service = try IngestService(log: directory + "/log", sealing: "on", events: 0, destinations: settings)
    defer { service.end() }
    let ready = (ContinuousClock.now - started) / .seconds(1)
    // What the start still does, and memory that it frees.
    try await Task.sleep(for: .seconds(min(5, command.duration)))
    let idle = try await cores(service) { try await Task.sleep(for: .seconds(command.duration)) }
    let idleMemory = ProcessMemory(of: service.pid).resident
    var most = idleMemory
    let busy = try await cores(service) {
      try await append(to: service) { most = max(most, ProcessMemory(of: service.pid).resident) }
    }
    try await untilDelivered(receiver)
    most = max(most, ProcessMemory(of: service.pid).resident)
    service.expect(plan.count)
    try await service.finish()
    return [ready, Double(idleMemory) / 1_048_576, idle * 100, Double(most) / 1_048_576, busy]
  }

  private func configuration(port: Int) throws -> String {
    var text = ""
    for number in 0..<command.destinations {
      let filter = try events.filter(of: number, among: command.destinations)
      text += BenchDestinations.webhook(
        "webhook-\(number)", "http://127.0.0.1:\(port)/\(number)", maxWait: "1s", more: "    filter: \"\(filter)\"\n")
    }
    return text
  }

  /// Processors that the service keeps busy during some work.
  private func cores(_ service: IngestService, _ work: () async throws -> Void) async throws -> Double {
    let before = processorSeconds(of: service.pid) ?? .nan
    let took = try await seconds(work)
    return ((processorSeconds(of: service.pid) ?? .nan) - before) / took
  }

  private func append(to service: IngestService, _ look: () -> Void) async throws {
    let transport = AsyncHTTPTransport()
    let began = BenchClock.now()
    for turn in 0..<plan.turns {
      let moment = began + UInt64(turn) * plan.step
      let now = BenchClock.now()
      if now < moment { try await Task.sleep(for: .nanoseconds(moment - now)) }
      var body: [UInt8] = []
      for number in (turn * plan.size)..<((turn + 1) * plan.size) {
        events.append(number, at: moment, to: &body)
        body.append(UInt8(ascii: "\n"))
      }
      let answer = try await transport.send(
        TransportRequest(
          method: "POST", url: "http://127.0.0.1:\(service.port)/v1/events",
          headers: [("Content-Type", "application/x-ndjson")], body: body, timeout: .seconds(30)))
      guard answer.status == 200 else {
        throw Failure(
          .bad, "bench", "the service answered \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
      }
      look()
    }
    await transport.close()
  }

  /// Throws when that takes longer than a minute, and when something arrived twice or elsewhere.
  private func untilDelivered(_ receiver: EventReceiver) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while receiver.ledger.arrived < plan.count, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(100))
    }
    try receiver.ledger.check()
  }
}
