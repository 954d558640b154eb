import ArgumentParser
import Foundation
import PenstockLog

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures, with the raw probe beside every figure.",
    discussion: """
        penstock bench append
        penstock bench append --log /data/bench --events 1000000 --json
      """,
    subcommands: [Append.self])

  struct Append: ReportingCommand {
    static let spokenName = "bench append"
    static let configuration = CommandConfiguration(
      abstract: "Durable appends, against plain code that compresses the same blocks, writes and syncs.",
      discussion: """
        Five rounds, each of ours and of the probe, in turn on the same directory; the median counts. Streaming: batches of \
        generated events, one after the other, the next made ready while one is written. Single: one record at a time, \
        each synced, against writing and syncing 4 KiB. What is measured is removed afterwards.

          penstock bench append
          penstock bench append --log /data/bench --events 1000000 --batch 500 --json
        """)
    @Option(help: ArgumentHelp("The directory to measure in; a temporary one unless set.", valueName: "dir"))
    var log: String?
    @Option(help: "Events a round.") var events = 200_000
    @Option(help: "Events appended at once.") var batch = 1000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...100_000_000).contains(events) else { throw ValidationError("--events must be 1 to 100000000") }
      guard (1...10_000).contains(batch) else { throw ValidationError("--batch must be 1 to 10000") }
    }

    func perform() async throws {
      let base = log ?? NSTemporaryDirectory()
      let directory = base + "/penstock-bench-\(getpid())"
      do { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) } catch {
        throw Failure(.cannot, "io", "could not create \(directory): \(error.localizedDescription)")
      }
      let token = Interruption.handle { _ in
        try? FileManager.default.removeItem(atPath: directory)
        _exit(ExitStatus.interrupted.rawValue)
      }
      defer {
        Interruption.forget(token)
        try? FileManager.default.removeItem(atPath: directory)
      }
      let bench = AppendBench(directory: directory, events: events, batchRecords: batch)
      let rounds = try await bench.run()
      let machine = Machine.json(directory)
      let words = bench.words(rounds) + "\n" + Machine.words(directory)
      tell(bench.json(rounds, machine), words)
    }
  }
}
