import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Seal: BenchSubcommand {
    static let spokenName = "seal"
    static let configuration = CommandConfiguration(
      abstract: "What sealed segments take, against all records in one zstd file; and how fast sealing is.",
      discussion: """
        A log is appended in batches of 1000, then every full segment is sealed. The probe compresses the same \
        records as one frame: at level 3 for the size, at the sealing level for the time.

          penstock-bench seal
          penstock-bench seal --dir /data/bench --events 1000000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events in the log.") var events = 300_000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (100_000...10_000_000).contains(events) else {
        throw ValidationError("--events must be 100000 to 10000000")
      }
    }
  }
}

extension BenchCommand.Seal {
  private static let settings = SealingSettings()

  func measure(in directory: String) async throws -> BenchReport {
    let oneFile = "zstd -3 of the same records in one file"
    var rows = [
      BenchRow("seal.size", "sealed size", "MiB", against: oneFile, .atMost(1.1)),
      BenchRow("seal.before", "  before sealing", "MiB", against: oneFile),
      BenchRow(
        "seal.rate", "sealing, one thread", "MB/s",
        against: "the same records compressed at the sealing level, nothing read, written or proven",
        note: "Reads the original, compresses, writes, syncs, reads both and compares"),
    ]
    try await options.eachRound { try await measure(directory + "/log-\($0)", &rows) }
    return report(("events", .number(events)), rows: rows)
  }

  private func measure(_ path: String, _ rows: inout [BenchRow]) async throws {
    try await write(path)
    let reader = try await LogReader.open(at: path)
    defer {
      reader.close()
      try? FileManager.default.removeItem(atPath: path)
    }
    let before = try bytes(of: reader)
    let took = try seconds { try seal(reader, path) }
    // The newest segment is not sealed; the probe has its records neither.
    let raw = try await rawRecords(reader, below: reader.view.set.segments.last?.name.baseOffset ?? .zero)
    guard raw.count > 0 else { throw Failure(.cannot, "bench", "no segment was filled; ask for more --events") }
    let (size, _) = try compressed(raw, level: 3)
    let (_, alone) = try compressed(raw, level: Self.settings.level)
    let mebi = Double(1 << 20)
    rows[0].add(Double(try bytes(of: reader)) / mebi, Double(size) / mebi)
    rows[1].add(Double(before) / mebi, Double(size) / mebi)
    rows[2].add(Double(raw.count) / took / 1e6, Double(raw.count) / alone / 1e6)
  }

  /// Small segments, so that a few hundred thousand events fill several.
  private func write(_ path: String) async throws {
    var configuration = LogConfiguration()
    (configuration.sealing, configuration.segmentBytes) = (.off, 4 << 20)
    let log = try await Log.open(at: path, configuration: configuration)
    let generator = EventGenerator()
    for first in stride(from: 0, to: events, by: 1000) {
      try await log.append(generator.batch(first..<min(first + 1000, events)), durability: .accepted)
    }
    try await log.sync()
    try await log.close()
  }

  private func seal(_ reader: LogReader, _ path: String) throws {
    let system = LogEnvironment.system
    let sealer = SegmentSealer(system.fileSystem, LogPaths(path), Self.settings, randomBytes: system.randomBytes)
    var plan = SealingPlan()
    while let job = plan.next(in: reader.view.set.segments.map(\.name)) {
      guard case .sealed = try sealer.seal(job, in: reader.view) else {
        throw Failure(.bad, "bench", "segment \(job.segment.text) was not sealed")
      }
      plan.finished(job, .done)
    }
  }

  /// What all segments but the newest take on disk.
  private func bytes(of reader: LogReader) throws -> Int {
    try reader.view.set.segments.dropLast().reduce(0) { sum, segment in
      let size = try FileManager.default.attributesOfItem(atPath: segment.path)[.size] as? Int
      return sum + (size ?? 0)
    }
  }

  private func rawRecords(_ reader: LogReader, below end: Offset) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    for try await batch in reader.records(from: .beginning, to: .offset(end)).batches() {
      batch.forEachRecord { record in
        bytes.append(contentsOf: record.bytes)
        bytes.append(0x0A)
      }
    }
    return bytes
  }

  private func compressed(_ raw: [UInt8], level: Int) throws -> (bytes: Int, seconds: Double) {
    let compressor = try ZstdCompressor(level: level)
    var buffer = [UInt8](repeating: 0, count: Zstd.compressBound(raw.count))
    var count = 0
    let took = try seconds {
      count = try raw.withUnsafeBytes { source in
        try buffer.withUnsafeMutableBytes { target in try compressor.compress(source, into: target) }
      }
    }
    return (count, took)
  }
}
