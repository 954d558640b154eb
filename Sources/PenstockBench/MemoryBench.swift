import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Memory: BenchSubcommand {
    static let spokenName = "memory"
    static let configuration = CommandConfiguration(
      abstract: "Peak memory of appending, and of replaying with many cursors, at the log's defaults.",
      discussion: """
        Four tasks append generated events, held back by the full queue alone, with sealing in the background; then \
        the log is opened again and read from its beginning by cursors that note and commit every batch. The figure \
        is the most memory that was resident, the program itself included; next to it, the value after the first \
        eighth of the work.

          penstock-bench memory
          penstock-bench memory --gibibytes 1 --cursors 16 --dir /data/bench
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Event bytes to append, in GiB; halves and less are fine.") var gibibytes = 10.0
    @Option(help: "Cursors that replay.") var cursors = 16
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0.01...10_000).contains(gibibytes) else { throw ValidationError("--gibibytes must be 0.01 to 10000") }
      guard (1...1000).contains(cursors) else { throw ValidationError("--cursors must be 1 to 1000") }
    }

    /// One round is enough: it is a peak, and the work is long.
    func measure(in directory: String) async throws -> BenchReport {
      let trial = MemoryTrial(path: directory + "/log", bytes: Int(gibibytes * Double(1 << 30)), cursors: cursors)
      let (append, replay) = try await trial.run { ProgressLine.shared.update($1, "\($0), \($1) %") }
      return BenchReport(
        bench: "memory",
        parameters: [
          ("bytes", .number(trial.bytes)), ("cursors", .number(cursors)), ("records", .number(append.records)),
        ],
        rows: [
          row("memory.append", "appending \(HumanFormat.bytes(trial.bytes))", append),
          row("memory.replay", "replaying it with \(HumanFormat.count(cursors, "cursor"))", replay),
        ])
    }

    private func row(_ id: String, _ measure: String, _ finding: MemoryTrial.Finding) -> BenchRow {
      var row = BenchRow(id, measure, "MiB", against: "resident after the first eighth of the work", .atMost(64, .ours))
      row.note = "Over time: " + finding.course.map { "\($0 >> 20)" }.joined(separator: ", ") + " MiB"
      // Other kernels do not say: then there is no figure, and no claim.
      if finding.peak == 0 { return row }
      row.add(Double(finding.peak) / 1_048_576, finding.course.first.map { Double($0) / 1_048_576 })
      return row
    }
  }
}
