import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport

extension BenchCommand {
  struct Recover: BenchSubcommand {
    static let spokenName = "recover"
    static let configuration = CommandConfiguration(
      abstract: "Opening a log after a kill, and opening and seeking in a log of 100 GB.",
      discussion: """
        After a kill: a log that was never closed, copied with a full segment, opened for writing, against reading \
        its newest segment from end to end. 100 GB: one segment of the default size over and over, each with its own \
        place in the log; most are files with holes, so that little disk is needed. Files are dropped from the page \
        cache before each measurement; what a disk or a host caches is not.

          penstock-bench recover
          penstock-bench recover --dir /data/bench --gigabytes 1000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Events of the log that is recovered; enough for one segment unless set.") var events = 1_100_000
    @Option(help: "How much the long log holds, compressed, in GB.") var gigabytes = 100
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1000...100_000_000).contains(events) else { throw ValidationError("--events must be 1000 to 100000000") }
      guard (0...10_000).contains(gigabytes) else { throw ValidationError("--gigabytes must be 0 to 10000") }
    }
  }
}

extension BenchCommand.Recover {
  func measure(in directory: String) async throws -> BenchReport {
    var rows = [try await afterKill(directory)]
    if gigabytes > 0 { rows += try await longLog(directory + "/long") }
    return report(("events", .number(events)), ("gigabytes", .number(gigabytes)), rows: rows)
  }

  /// Copies a log whose writer is still there, as a kill would leave it, and opens the copy.
  private func afterKill(_ directory: String) async throws -> BenchRow {
    var row = BenchRow("recover.open", "open after a kill", "ms", against: "the newest segment read from end to end")
    let batches = BenchEvents.batches(of: 1000, for: events)
    let log = try await Log.open(at: directory + "/log")
    try await BenchEvents.stream(log, batches, turns: (events + 999) / 1000)
    try await options.eachRound { number in
      let copy = directory + "/killed-\(number)"
      try Self.copy(directory + "/log", to: copy)
      let newest = try Self.segments(copy).last ?? ""
      let size = (try FileManager.default.attributesOfItem(atPath: newest)[.size] as? Int) ?? 0
      try PageCache.drop(Self.files(copy))
      let read = try seconds { () throws in try PageCache.read(newest) }
      try PageCache.drop(Self.files(copy))
      var opened: Log?
      let took = try await seconds { () async throws in opened = try await Log.open(at: copy) }
      guard let opened, opened.end == log.end else { throw Failure(.bad, "bench", "recovery lost records") }
      try await opened.close()
      try FileManager.default.removeItem(atPath: copy)
      row.add(took * 1e3, read * 1e3)
      row.note = "The newest segment: \(HumanFormat.bytes(size))"
    }
    try await log.close()
    return row
  }

  private func longLog(_ path: String) async throws -> [BenchRow] {
    ProgressLine.shared.update(0, "making a log of \(gigabytes) GB")
    let long = try await LongLog(at: path, bytes: gigabytes * 1_000_000_000)
    let files = try Self.files(path)
    let (gb, newest) = ("\(gigabytes) GB", "reading the newest segment, which has been taken off")
    let (middle, slowest) = ("the same block read cold, p50", "the same block read cold, slowest")
    var rows = [
      BenchRow(
        "long.open", "open \(gb) for writing, less one segment's read", "ms", against: newest, .atMost(50, .ours),
        note: "\(long.segments) segments", isCompared: false),
      BenchRow(
        "long.read", "open \(gb) for reading, with cursors and end", "ms", against: "listing the directory",
        .atMost(50, .ours), isCompared: false),
      BenchRow(
        "long.status", "what penstock status reads of \(gb), less one segment's read", "ms", against: newest,
        .atMost(50, .ours), isCompared: false),
      BenchRow("long.seek.offset.p50", "seek by offset and read one, p50", "µs", against: middle, .atMost(1000, .ours)),
      BenchRow("long.seek.offset.max", "  the same, slowest", "µs", against: slowest),
      BenchRow("long.seek.time.p50", "seek by time, p50", "µs", against: middle, .atMost(1000, .ours)),
      BenchRow("long.seek.time.max", "  the same, slowest", "µs", against: slowest),
    ]
    try await options.eachRound { _ in
      try PageCache.drop(files)
      let list = try seconds { () throws in _ = try Self.segments(path) }
      let status = try await seconds { () async throws in
        let reader = try await LogReader.open(at: long.path)
        _ = (try reader.cursorStates(), reader.end, reader.first)
        reader.close()
      }
      rows[1].add(status * 1e3, list * 1e3)
      try PageCache.drop(files)
      let told = try seconds { () throws in
        let survey = try LogSurvey(LogInspector(long.path))
        for (_, state) in try CursorStore.states(
          POSIXFileSystem(), LogPaths(long.path), of: survey.inspector.meta.logID)
        {
          _ = try survey.distance(from: state.get().committed)
        }
        _ = (try survey.producers(), survey.end, survey.oldest, survey.newestAppend, survey.usedBytes)
      }
      try PageCache.drop(files)
      let read = try seconds { () throws in try PageCache.read(Self.segments(long.path).last ?? "") }
      try PageCache.drop(files)
      let open = try await seconds { () async throws in try await Log.open(at: long.path).close() }
      rows[0].add(max(0, open - read) * 1e3, read * 1e3)
      rows[2].add(max(0, told - read) * 1e3, read * 1e3)
      let seeks = try await seeks(long, files)
      for (index, share) in [(3, 0.5), (4, 1)] {
        rows[index].add(seeks.offset.percentile(share), seeks.raw.percentile(share))
        rows[index + 2].add(seeks.time.percentile(share), seeks.raw.percentile(share))
      }
    }
    return rows
  }

  private func seeks(_ long: LongLog, _ files: [String]) async throws -> (offset: Samples, time: Samples, raw: Samples)
  {
    var (byOffset, byTime, raw): ([Double], [Double], [Double]) = ([], [], [])
    for place in long.places {
      try PageCache.drop([place.path])
      raw.append(try seconds { () throws in try PageCache.read(place.path, from: place.position, count: place.length) })
      // A reader of its own each time: nothing is known of the segment yet.
      var reader = try await LogReader.open(at: long.path)
      try PageCache.drop([place.path])
      var found: Batch?
      byOffset.append(
        try seconds { () throws in found = try reader.view.batch(from: place.offset, maxRecords: 1, maxBytes: 1 << 20) }
      )
      guard found?.first == place.offset else { throw Failure(.bad, "bench", "no record at \(place.offset)") }
      reader.close()
      reader = try await LogReader.open(at: long.path)
      try PageCache.drop(files)
      var offset = Offset.zero
      byTime.append(try seconds { () throws in offset = try reader.offset(of: .time(place.time)) })
      guard offset == place.blockOffset else { throw Failure(.bad, "bench", "a time led to \(offset)") }
      reader.close()
    }
    return (Samples(seconds: byOffset), Samples(seconds: byTime), Samples(seconds: raw))
  }

  // MARK: Files

  private static func segments(_ log: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: log + "/data").filter { $0.hasSuffix(".seg") }.sorted()
      .map { log + "/data/" + $0 }
  }

  private static func files(_ log: String) throws -> [String] { try segments(log) + [log + "/META", log + "/COMMIT"] }

  /// File by file: what a copy of the whole directory would do, but the lock's file too.
  private static func copy(_ from: String, to: String) throws {
    try FileManager.default.copyItem(atPath: from, toPath: to)
    for file in try files(to) { try PageCache.settle(file) }
  }
}

/// What the kernel keeps of files.
enum PageCache {
  /// Makes the file's pages clean, so that they can be dropped.
  static func settle(_ path: String) throws { try with(path) { _ = fsync($0) } }

  /// Drops the files' pages, as far as they are clean.
  static func drop(_ paths: [String]) throws {
    #if os(Linux)
      for path in paths { try with(path) { _ = posix_fadvise($0, 0, 0, POSIX_FADV_DONTNEED) } }
    #endif
  }

  /// Reads a file, or a part of it, in steps of 1 MiB.
  static func read(_ path: String, from start: UInt64 = 0, count: Int = .max) throws {
    try with(path) { descriptor in
      var buffer = [UInt8](repeating: 0, count: min(count, 1 << 20))
      var (position, left) = (off_t(start), count)
      while left > 0 {
        let got = pread(descriptor, &buffer, min(left, buffer.count), position)
        guard got > 0 else { break }
        position += off_t(got)
        left -= got
      }
    }
  }

  private static func with(_ path: String, _ body: (Int32) -> Void) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw Failure(.cannot, "io", "could not open \(path): \(String(cString: strerror(errno)))")
    }
    body(descriptor)
    close(descriptor)
  }
}
