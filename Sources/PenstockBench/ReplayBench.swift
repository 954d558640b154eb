import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Replay: BenchSubcommand {
    static let spokenName = "replay"
    static let configuration = CommandConfiguration(
      abstract: "Reading a log from its beginning, against zstd alone; many tailing readers, against one.",
      discussion: """
        Every record of the log is visited; the probe decompresses the same frames, read into memory beforehand, on \
        one thread.
        Then 16 readers that follow a writer, against one: processor time of the whole process, less what the same
        appends take without a reader.

          penstock-bench replay
          penstock-bench replay --dir /data/bench --events 5000000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events in the log.") var events = 1_000_000
    @Option(help: "Readers that follow the writer.") var cursors = 16
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1000...100_000_000).contains(events) else { throw ValidationError("--events must be 1000 to 100000000") }
      guard (2...1000).contains(cursors) else { throw ValidationError("--cursors must be 2 to 1000") }
    }

    func measure(in directory: String) async throws -> BenchReport {
      try await ReplayBench(directory: directory, events: events, cursors: cursors).run(rounds: options.rounds)
    }
  }
}

/// `penstock-bench replay`.
struct ReplayBench {
  let directory: String
  let events: Int
  let cursors: Int

  func run(rounds: Int) async throws -> BenchReport {
    let batches = BenchEvents.batches(of: 1000, for: events)
    let path = directory + "/log"
    let log = try await Log.open(at: path, configuration: BenchEvents.alone)
    try await BenchEvents.stream(log, batches, turns: (events + 999) / 1000)
    try await log.close()
    let frames = try await Frames(of: path)
    var rows = self.rows
    for number in 0..<rounds {
      let (one, two) = try await (replay(path, parts: 1), replay(path, parts: 2))
      let ahead = try await replay(path, parts: 1, readAhead: .threads(2))
      let (probe, probes) = try (frames.rate(threads: 1), frames.rate(threads: 2))
      rows[0].add(one, probe)
      rows[1].add(two, one)
      rows[2].add(two, probes)
      let idle = try await follow(0, batches, number)
      let (single, many) = try await (follow(1, batches, number), follow(cursors, batches, number))
      rows[3].add(max(0, many - idle) * 1e3, max(1e-4, single - idle) * 1e3)
      rows[4].add(many * 1e3, single * 1e3)
      rows[5].add(ahead, one)
      ProgressLine.shared.update(number + 1, "round \(number + 1) of \(rounds)")
    }
    var report = BenchReport(
      bench: "replay",
      parameters: [("rounds", .number(rounds)), ("events", .number(events)), ("cursors", .number(cursors))])
    report.rows = rows
    return report
  }

  private var rows: [BenchRow] {
    [
      BenchRow(
        id: "replay.one", measure: "sequential replay, one thread", unit: "events/s",
        probeIs: "the same frames decompressed on one thread, nothing read and no record looked at",
        targets: [.atLeast(0.85), .atLeast(2_700_000, .ours)]),
      BenchRow(
        id: "replay.two", measure: "replay, two threads", unit: "events/s", probeIs: "ours on one thread",
        targets: [.atLeast(1.8)], note: "Two tasks, half of the log each, through one reader"),
      BenchRow(
        id: "replay.two.probe", measure: "  the same, against the probe", unit: "events/s",
        probeIs: "the same frames decompressed on two threads"),
      BenchRow(
        id: "tail.cursors", measure: "\(cursors) tailing readers", unit: "ms of CPU", probeIs: "one tailing reader",
        targets: [.atMost(1.3)], note: "What the appends take without a reader is taken off both"),
      BenchRow(
        id: "tail.cursors.total", measure: "  the same, appends included", unit: "ms of CPU",
        probeIs: "one tailing reader, appends included"),
      BenchRow(
        id: "replay.ahead", measure: "replay by one task, two threads read ahead", unit: "events/s",
        probeIs: "ours on one thread"),
    ]
  }

  /// Visits every record; events a second. Each part is a task of its own.
  private func replay(_ path: String, parts: Int, readAhead: ReadAhead = .none) async throws -> Double {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    let (first, count) = (reader.first, reader.end - reader.first)
    let visited = Visits()
    let took = try await seconds { () async throws in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for part in 0..<parts {
          let range = (first + count * part / parts, first + count * (part + 1) / parts)
          group.addTask {
            var (visits, bytes) = (0, 0)
            let records = reader.records(from: .offset(range.0), to: .offset(range.1), readAhead: readAhead)
            for try await batch in records.batches() {
              batch.forEachRecord {
                visits += 1
                bytes += $0.bytes.count
              }
            }
            visited.add(visits, bytes)
          }
        }
        try await group.waitForAll()
      }
    }
    guard visited.records == count else {
      throw Failure(.bad, "bench", "\(visited.records) of \(count) records were replayed")
    }
    return Double(count) / took
  }

  /// Processor seconds of appending, with so many readers that follow.
  private func follow(_ readers: Int, _ batches: [RecordBatch], _ round: Int) async throws -> Double {
    let path = directory + "/follow-\(round)-\(readers)"
    let log = try await Log.open(at: path, configuration: BenchEvents.alone)
    // Enough of them that what is left after the appends' own time stands out from what a processor's time scatters by.
    let turns = 512
    let count = (0..<turns).reduce(0) { $0 + batches[$1 % batches.count].count }
    let before = processorSeconds()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<readers {
        group.addTask {
          var (seen, bytes) = (0, 0)
          for try await batch in log.records(tailing: true).batches() {
            batch.forEachRecord {
              seen += 1
              bytes += $0.bytes.count
            }
            if seen >= count { break }
          }
        }
      }
      for turn in 0..<turns { try await log.append(batches[turn % batches.count], durability: .disk) }
      try await group.waitForAll()
    }
    let used = processorSeconds() - before
    try await log.close()
    try? FileManager.default.removeItem(atPath: path)
    return used
  }
}
