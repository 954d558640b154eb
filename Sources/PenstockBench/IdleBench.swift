import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Idle: BenchSubcommand {
    static let spokenName = "idle"
    static let configuration = CommandConfiguration(
      abstract: "What an open log costs while nothing happens.",
      discussion: """
        A log that has been appended to, with tailing readers that wait at its end: processor time and wake-ups of \
        the whole process without appends. The probe: the same process without a log.

          penstock-bench idle
          penstock-bench idle --seconds 10 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(name: .customLong("seconds"), help: "How long to look, in each round.") var duration = 1.0
    @Option(help: "Readers that wait at the end.") var cursors = 4
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0.1...3600).contains(duration) else { throw ValidationError("--seconds must be 0.1 to 3600") }
      guard (0...1000).contains(cursors) else { throw ValidationError("--cursors must be 0 to 1000") }
    }
  }
}

extension BenchCommand.Idle {
  private struct Usage {
    /// Share of one core.
    var processor = 0.0
    var wakeUps = 0.0
  }

  func measure(in directory: String) async throws -> BenchReport {
    let probe = "the same process without a log"
    var rows = [
      BenchRow(
        "idle.cpu", "idle, \(cursors) waiting readers", "% of a core", against: probe, .atMost(1, .ours),
        isCompared: false), BenchRow("idle.wakes", "  wake-ups", "a second", against: probe, isCompared: false),
    ]
    let raw = try await look()
    let log = try await Log.open(at: directory + "/log")
    let readers = (0..<cursors).map { _ in Task { for try await _ in log.records(tailing: true).batches() {} } }
    let records = BenchEvents.batches(of: 100, for: 10_000)
    for batch in records { try await log.append(batch, durability: .disk) }
    // What follows an append, the next segment's zeros for one, is over then.
    try await Task.sleep(for: .milliseconds(500))
    for (ours, probe) in zip(try await look(), raw) {
      rows[0].add(ours.processor * 100, probe.processor * 100)
      rows[1].add(ours.wakeUps, probe.wakeUps)
    }
    for reader in readers { reader.cancel() }
    try await log.close()
    return report(("seconds", .number(duration)), ("cursors", .number(cursors)), rows: rows)
  }

  private func look() async throws -> [Usage] {
    var found: [Usage] = []
    try await options.eachRound { _ in
      let (time, wakes) = (processorSeconds(), voluntarySwitches())
      try await Task.sleep(for: .seconds(duration))
      found.append(
        Usage(
          processor: (processorSeconds() - time) / duration, wakeUps: Double(voluntarySwitches() - wakes) / duration))
    }
    return found
  }

  /// How often a thread of this process has gone to sleep of its own accord, and so been woken.
  private func voluntarySwitches() -> Int {
    var usage = rusage()
    #if canImport(Darwin)
      getrusage(RUSAGE_SELF, &usage)
    #else
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #endif
    return usage.ru_nvcsw
  }
}
