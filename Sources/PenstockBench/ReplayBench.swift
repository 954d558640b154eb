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
        one thread. Then 16 readers that follow a writer, against one: processor time of the whole process, less what \
        the same appends take without a reader.

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
  }
}

extension BenchCommand.Replay {
  func measure(in directory: String) async throws -> BenchReport {
    let path = directory + "/log"
    let batches = try await BenchEvents.fill(path, events: events)
    let frames = try await Frames(of: path)
    var rows = self.rows
    try await options.eachRound { number in
      let follow = { try await self.follow($0, batches, directory + "/follow-\(number)-\($0)") }
      let (one, two) = try await (replay(path, parts: 1), replay(path, parts: 2))
      let ahead = try await replay(path, parts: 1, readAhead: .threads(2))
      let (probe, probes) = try (frames.rate(threads: 1), frames.rate(threads: 2))
      rows[0].add(one, probe)
      rows[1].add(two, one)
      rows[2].add(two, probes)
      let idle = try await follow(0)
      let (single, many) = try await (follow(1), follow(cursors))
      rows[3].add(max(0, many - idle) * 1e3, max(1e-4, single - idle) * 1e3)
      rows[4].add(many * 1e3, single * 1e3)
      rows[5].add(ahead, one)
    }
    return report(("events", .number(events)), ("cursors", .number(cursors)), rows: rows)
  }

  private var rows: [BenchRow] {
    [
      BenchRow(
        "replay.one", "sequential replay, one thread", "events/s",
        against: "the same frames decompressed on one thread, nothing read and no record looked at",
        .atLeast(0.85), .atLeast(2_700_000, .ours)),
      BenchRow(
        "replay.two", "replay, two threads", "events/s", against: "ours on one thread", .atLeast(1.8),
        note: "Two tasks, half of the log each, through one reader"),
      BenchRow(
        "replay.two.probe", "  the same, against the probe", "events/s",
        against: "the same frames decompressed on two threads"),
      BenchRow(
        "tail.cursors", "\(cursors) tailing readers", "ms of CPU", against: "one tailing reader", .atMost(1.3),
        note: "What the appends take without a reader is taken off both"),
      BenchRow(
        "tail.cursors.total", "  the same, appends included", "ms of CPU",
        against: "one tailing reader, appends included"),
      BenchRow("replay.ahead", "replay by one task, two threads read ahead", "events/s", against: "ours on one thread"),
    ]
  }

  /// Visits every record; events a second. Each part is a task of its own.
  private func replay(_ path: String, parts: Int, readAhead: ReadAhead = .none) async throws -> Double {
    let reader = try await LogReader.open(at: path)
    defer { reader.close() }
    let (first, count) = (reader.first, reader.end - reader.first)
    var (visited, read) = (0, 0)
    let took = try await seconds { () async throws in
      (visited, read) = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
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
            return (visits, bytes)
          }
        }
        return try await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
      }
    }
    guard visited == count, read > 0 else {
      throw Failure(.bad, "bench", "\(visited) of \(count) records were replayed")
    }
    return Double(count) / took
  }

  /// Processor seconds of appending, with so many readers that follow.
  private func follow(_ readers: Int, _ batches: [RecordBatch], _ path: String) async throws -> Double {
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
