import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Retention: BenchSubcommand {
    static let spokenName = "retention"
    static let configuration = CommandConfiguration(
      abstract: "How long a durable append takes while retention removes gigabytes.",
      discussion: """
        A log of records that do not compress, all written to the disk and kept by a cursor. One record at a time is \
        appended, each on stable storage before the next: first in peace, then from the moment at which the cursor \
        lets go until the last of the old files is gone.

          penstock-bench retention
          penstock-bench retention --gibibytes 1 --rounds 1 --dir /data/bench --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Size of the log before each removal.") var gibibytes = 5.0
    @Option(help: "Records that are appended in peace, in each round.") var singles = 3000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (0.1...1000).contains(gibibytes) else { throw ValidationError("--gibibytes must be 0.1 to 1000") }
      guard (1...1_000_000).contains(singles) else { throw ValidationError("--singles must be 1 to 1000000") }
    }
  }
}

extension BenchCommand.Retention {
  func measure(in directory: String) async throws -> BenchReport {
    let path = directory + "/log"
    let data = path + "/data"
    var configuration = BenchEvents.alone
    configuration.retention.maxBytes = configuration.segmentBytes
    let log = try await Log.open(at: path, configuration: configuration)
    let (noise, records) = (Self.noise(), BenchEvents.batches(of: 1, for: 10_000))
    var rows = [
      BenchRow("retention.p50", "1 record while retention removes, p50", "µs", against: "without"),
      BenchRow("retention.p99", "1 record while retention removes, p99", "µs", against: "without", .atMost(2)),
      BenchRow("retention.removed", "  removed", "GB"), BenchRow("retention.seconds", "  in", "s"),
    ]
    let holder = try await log.cursor(named: "holder")
    try await options.eachRound { _ in
      try await BenchEvents.stream(log, noise, turns: Int(gibibytes * 1_073_741_824) / noise[0].byteCount)
      let peace = try await times(log, records) { $0 >= singles }
      let before = try Self.segments(data)
      try await holder.seek(to: .end)
      let removal = Task { try await log.trim() }
      var (removing, took): (Samples?, Double) = (nil, 0)
      took = try await seconds { () async throws in
        // The newest segment stays. Those that begin meanwhile do not count.
        removing = try await times(log, records) {
          try $0.isMultiple(of: 20) && Self.segments(data).names.intersection(before.names).count <= 1
        }
      }
      _ = try await removal.value
      rows[0].add(removing?.percentile(0.5) ?? .nan, peace.percentile(0.5))
      rows[1].add(removing?.percentile(0.99) ?? .nan, peace.percentile(0.99))
      rows[2].add(Double(before.bytes - (try Self.segments(data).bytes)) / 1e9)
      rows[3].add(took)
    }
    try await log.close()
    return report(("gibibytes", .number(gibibytes)), ("singles", .number(singles)), rows: rows)
  }

  /// Appends one record after the other until there are enough.
  private func times(
    _ log: Log, _ records: [RecordBatch], until isEnough: (_ count: Int) throws -> Bool
  ) async throws -> Samples {
    var times: [Double] = []
    repeat {
      let record = records[times.count % records.count]
      times.append(try await seconds { () async throws in try await log.append(record, durability: .disk) })
    } while try !isEnough(times.count)
    return Samples(seconds: times)
  }

  /// Batches of 1 MiB that do not compress.
  private static func noise() -> [RecordBatch] {
    var random = SystemRandomNumberGenerator()
    return (0..<8).map { _ in
      var batch = RecordBatch(reservingBytes: 1 << 20)
      for _ in 0..<16 {
        var record: [UInt8] = []
        while record.count < 65_536 { withUnsafeBytes(of: random.next()) { record.append(contentsOf: $0) } }
        batch.append(record)
      }
      return batch
    }
  }

  /// The segments' files, and the disk space that they take.
  private static func segments(_ path: String) throws -> (names: Set<String>, bytes: Int) {
    let files = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasSuffix(".seg") }
    var bytes = 0
    for file in files {
      var status = stat()
      if stat(path + "/" + file, &status) == 0 { bytes += Int(status.st_blocks) * 512 }
    }
    return (Set(files), bytes)
  }
}
