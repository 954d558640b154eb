import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Benchmarks, each next to a raw probe of the same disk.",
    discussion: """
      Each benchmark alternates Penstock with a probe, in one process and on one disk. The probe is plain code that does
      the least work possible. Compare the ratios.

        penstock bench append
        penstock bench append --dir /data/bench --events 1000000 --json
        penstock bench commit --rounds 7
        penstock bench replay
        penstock bench recover
        penstock bench tail
        penstock bench seal
        penstock bench idle
        penstock bench memory --gibibytes 1
        penstock bench ingest
        penstock bench deliver
        penstock bench isolation
      """,
    subcommands: [
      Append.self, Commit.self, Replay.self, Recover.self, Tail.self, Seal.self, Idle.self, Memory.self, Events.self,
      Ingest.self, Load.self, Deliver.self, Isolation.self, Stub.self,
    ])
}
