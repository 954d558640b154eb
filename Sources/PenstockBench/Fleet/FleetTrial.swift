import Foundation
import PenstockLog
import PenstockToolSupport

/// One run of webhooks on a log of its own.
struct FleetTrial {
  /// What is measured.
  struct Setting: Hashable {
    var order = AppEvents.Order.mixed
    var destinations: Int
    /// Events of a request, at most.
    var batch: Int
  }

  struct Finding {
    var events = 0
    var fleet = WebhookFleet.Finding()
    var requests = 0
    /// From the append to the answer; only of a live run.
    var waits = Samples(seconds: [])

    var rate: Double { Double(events) / fleet.seconds }
    var peak: Double { Double(fleet.peakBytes) / 1_048_576 }
    var cores: Double { fleet.processorSeconds / fleet.seconds }
    var batch: Double { Double(events) / Double(requests) }
  }

  /// Events that are appended while the webhooks run.
  struct Live {
    var rate: Int
    var seconds: Double
    /// In milliseconds.
    var wait: Int
  }

  /// Stays after the trial: see ``remove()``.
  let directory: String
  let apps: Int
  let setting: Setting
  /// How long the receiver takes for an answer.
  var delay = Duration.zero
  /// More arguments of `penstock-bench fleet`.
  var arguments: [String] = []

  private var log: String { directory + "/log" }

  /// All events are in the log before the webhooks begin.
  func backlog(_ count: Int) async throws -> Finding {
    let events = AppEvents(apps: apps, order: setting.order, count: count)
    return try await inFolder {
      let log = try await Log.open(at: log, configuration: BenchEvents.alone)
      for first in stride(from: 0, to: count, by: 1000) {
        try await log.append(events.batch(first..<min(first + 1000, count)), durability: .accepted)
      }
      try await log.sync()
      try await log.close()
      return try run(events, count, [])
    }
  }

  /// The webhooks wait for the events.
  func live(_ live: Live) async throws -> Finding {
    let count = apps + LivePlan(rate: live.rate, seconds: live.seconds).count
    return try await inFolder {
      try run(
        AppEvents(apps: apps, order: .mixed, count: count), count,
        ["--rate", "\(live.rate)", "--seconds", "\(live.seconds)", "--wait", "\(live.wait)"])
    }
  }

  private func inFolder(_ work: () async throws -> Finding) async throws -> Finding {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    return try await work()
  }

  /// Removes its files. After the last trial of a bench: ext4 passes over the inodes of files that were deleted lately,
  /// so a thousand deleted files make those of the next trial dear.
  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Runs `penstock-bench fleet`, and checks what arrived.
  private func run(_ events: AppEvents, _ count: Int, _ more: [String]) throws -> Finding {
    let ledger = EventLedger(events, count: count, destinations: setting.destinations)
    let receiver = try EventReceiver(ledger, delay: delay)
    defer { receiver.end() }
    let (file, errors) = (directory + "/fleet.json", directory + "/fleet.stderr")
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(.cannot, "io", "could not write \(file)") }
    defer { close(descriptor) }
    let child = try ChildProcess(
      [
        "fleet", "--log", log, "--port", "\(receiver.port)", "--destinations", "\(setting.destinations)", "--apps",
        "\(apps)", "--batch", "\(setting.batch)",
      ] + arguments + more, output: descriptor, errors: errors, environment: [:])
    try child.finish("the process with the webhooks", errors: errors)
    let heard = receiver.ledger
    try heard.check()
    var finding = Finding(events: heard.arrived, requests: heard.requests, waits: Samples(seconds: heard.waits))
    finding.fleet = try JSONDecoder().decode(WebhookFleet.Finding.self, from: Data(contentsOf: URL(filePath: file)))
    return finding
  }
}
