import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Isolation: BenchSubcommand {
    static let spokenName = "isolation"
    static let configuration = CommandConfiguration(
      abstract: "A healthy destination next to three bad ones, against the same one alone.",
      discussion: """
        Next to the healthy webhook are one that takes requests and never answers, one that always answers 500, and a \
        directory on a disk that is full. One process appends, another delivers to all of them; then the same with \
        the healthy one alone, in turn. Lag is taken where requests arrive: the age of a batch's oldest record since \
        its acknowledgement, at a fixed rate of appends; the rate of appends and of deliveries, at full speed.

          penstock-bench isolation
          penstock-bench isolation --seconds 10 --rate 50000 --rounds 7

        The full disk is a small file system mounted for the time; without the right to mount, two bad ones are left \
        and it says so.
        """)
    @OptionGroup var options: BenchOptions
    @Option(name: .customLong("seconds"), help: "How long each half of each trial lasts.") var duration = 3.0
    @Option(help: "Events a second, where lag is measured.") var rate = 20_000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0.5...3600).contains(duration) else { throw ValidationError("--seconds must be 0.5 to 3600") }
      guard (200...1_000_000).contains(rate) else { throw ValidationError("--rate must be 200 to 1000000") }
    }
  }
}

extension BenchCommand.Isolation {
  func measure(in directory: String) async throws -> BenchReport {
    let disk = FullDisk(at: directory + "/full")
    defer { disk?.end() }
    let hanging = try StubProcess(.hang, errors: directory + "/hang.stderr")
    defer { hanging.end() }
    let refusing = try StubProcess(.refuse, errors: directory + "/refuse.stderr")
    defer { refusing.end() }
    let bad =
      BenchDestinations.webhook("hanging", hanging.url) + BenchDestinations.webhook("refusing", refusing.url)
      + (disk.map { BenchDestinations.directory("full", $0.path) } ?? "")
    var rows = rows(note: disk == nil ? "Without the full disk: this machine mounts nothing" : nil)
    try await options.eachRound { round in
      var both: [Bool: IsolationTrial.Finding] = [:]
      for isAlone in round.isMultiple(of: 2) ? [true, false] : [false, true] {
        both[isAlone] = try await trial(directory + "/trial-\(round)\(isAlone ? "-alone" : "")", isAlone ? "" : bad)
      }
      if let alone = both[true], let together = both[false] {
        for index in rows.indices { rows[index].add(together.figures[index], alone.figures[index]) }
      }
    }
    return report(("seconds", .number(duration)), ("rate", .number(rate)), rows: rows)
  }

  private func trial(_ folder: String, _ bad: String) async throws -> IsolationTrial.Finding {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let stub = try StubProcess(.accept, errors: folder + "/stub.stderr")
    defer { stub.end() }
    return try await IsolationTrial(directory: folder, bad: bad, stub: stub, duration: duration, pace: rate).run()
  }

  /// In the order of ``IsolationTrial/Finding/figures``.
  private func rows(note: String?) -> [BenchRow] {
    let (alone, lag) = ("the healthy one alone", "  its lag at \(HumanFormat.count(rate)) events/s, p50")
    var rows = [
      BenchRow(
        "isolation.append", "appending next to three bad destinations", "events/s", against: alone, .atLeast(0.95)),
      BenchRow(
        "isolation.delivered", "the healthy destination next to them", "events/s", against: alone, .atLeast(0.95)),
      BenchRow("isolation.lag.p50", lag, "ms", against: alone, .atMost(1.05)),
      BenchRow("isolation.lag.p99", "  … p99", "ms", against: alone, .atMost(1.05)),
      BenchRow("isolation.records.p50", "  … in records, p50", "records", against: alone, .atMost(1.05)),
      BenchRow("isolation.records.p99", "  … in records, p99", "records", against: alone),
    ]
    for index in rows.indices { rows[index].note = note }
    return rows
  }
}
