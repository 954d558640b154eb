import ArgumentParser
import Foundation
import PenstockServer
import PenstockToolSupport

/// `penstock-bench`: measures what the engine does against the least that the same work can cost in plain code.
///
/// Benches of `serve` and `deliver` start the program `penstock` in the folder of this one.
@main
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "penstock-bench", abstract: "Measures the engine, with a raw probe next to every figure.",
    discussion: """
      Every bench runs ours and a probe in turn, in one process and on one disk: the least that the same work can \
      cost in
      plain code. What counts is the ratio.

        penstock-bench append
        penstock-bench append --dir /data/bench --events 1000000 --json
        penstock-bench commit --rounds 7
        penstock-bench replay
        penstock-bench recover
        penstock-bench tail
        penstock-bench seal
        penstock-bench idle
        penstock-bench memory --gibibytes 1
        penstock-bench ingest
        penstock-bench deliver
        penstock-bench isolation
        penstock-bench fanout
        penstock-bench single
        penstock-bench cursors
        penstock-bench destinations
        penstock-bench retention
      """,
    subcommands: [
      Append.self, Commit.self, Replay.self, Recover.self, Tail.self, Seal.self, Idle.self, Memory.self, Events.self,
      Ingest.self, Load.self, Deliver.self, Isolation.self, Fanout.self, Single.self, Cursors.self, Destinations.self,
      Retention.self, Stub.self,
      Fleet.self,
    ])

  static func main() async {
    Malloc.configure()
    // Writing reports that the reader has gone away; see `Output`.
    signal(SIGPIPE, SIG_IGN)
    OpenFileLimit.raise()
    Signals.watch()
    await runProgram()
  }
}
