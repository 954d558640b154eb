import PenstockDelivery
@testable import PenstockLog
import PenstockSupport
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

/// A delivery that copies frames reads no record.
@Suite("Deliveries of unopened blocks", .timeLimit(.minutes(3))) struct UnopenedDeliveryTests {
  @TemporaryDirectory private var directory: String

  /// Counts how it is read.
  private final class WatchedLog: RecordSource {
    let log: Log
    private let counts = Mutex((opened: 0, unopened: 0, unopenedBlocks: 0))
    init(_ log: Log) { self.log = log }

    var counted: (opened: Int, unopened: Int, unopenedBlocks: Int) { counts.withLock { $0 } }
    var logID: String { log.logID }
    var durableEnd: Offset { get async { log.durableEnd } }

    func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
      counts.withLock { $0.opened += 1 }
      return try await log.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
    }
    func records(in range: Range<Offset>) async throws(LogError) -> Batch {
      counts.withLock { $0.opened += 1 }
      return try await log.records(in: range)
    }
    func unopenedRecords(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
      let batch = try await log.unopenedRecords(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
      note(batch)
      return batch
    }
    func unopenedRecords(in range: Range<Offset>) async throws(LogError) -> Batch {
      let batch = try await log.unopenedRecords(in: range)
      note(batch)
      return batch
    }
    private func note(_ batch: Batch?) {
      counts.withLock {
        $0.unopened += 1
        $0.unopenedBlocks += batch?.slices.count { $0.isUnopened } ?? 0
      }
    }
    func retainCompressedFrames() { log.retainCompressedFrames() }
    func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
      await log.waitForRecords(past: offset, timeout: timeout)
    }
  }

  private func sink(_ root: String, _ change: (inout DirectorySink) -> Void = { _ in }) throws -> DirectorySink {
    var sink = try DirectorySink(root: root, layout: FrameCopyTests.configuration().layout)
    change(&sink)
    return sink
  }

  private func fill(_ log: Log) async throws {
    for start in stride(from: 0, to: 700, by: 140) {
      var batch = RecordBatch()
      for record in FrameCopyTests.records[start..<start + 140] { batch.append(record) }
      _ = try await log.append(batch)
    }
  }

  private func isSound(_ log: Log, _ root: String) async throws -> Bool {
    let report = try await ExportVerifier(
      store: DirectoryExportStore(root: root), layout: FrameCopyTests.configuration().layout, logID: log.logID,
      cursor: "archive"
    ).verify(.content, expecting: 0..<700)
    return report.isSound && report.rows == 700
  }

  @Test(arguments: [1_000_000, 150, 100])
  func `nothing is opened but the edges, and the export is the log`(maxRecords: Int) async throws {
    let log = try await Log.open(at: directory + "/log")
    try await fill(log)
    let watched = WatchedLog(log)
    let cursor = try await log.cursor(named: "archive")
    _ = try await Delivery(
      from: cursor, source: watched, to: try sink(directory + "/out") { $0.maxRecords = maxRecords }
    ).run(untilCaughtUpWith: nil)
    #expect(watched.counted.opened == 0 && (watched.counted.unopenedBlocks > 0) == (maxRecords >= 140))
    #expect(try await isSound(log, directory + "/out"))
    try await log.close()
  }

  @Test func `an open batch of a plan that names no digest is opened, and keeps SHA-256 of the rows`() async throws {
    let log = try await Log.open(at: directory + "/log")
    try await fill(log)
    let cursor = try await log.cursor(named: "archive")
    let root = directory + "/out"
    let batch = try await log.records(in: .zero..<Offset(300))
    var metadata = outline(batch)
    metadata.logID = log.logID
    let text = String(decoding: try sink(root).plan(metadata), as: UTF8.self)
    let plan = Array(text.replacing("digest=crc32c\n", with: "").utf8)
    let digest = Digest.sha256(FrameCopyTests.records[..<300].flatMap { $0 + [10] })
    let id = DeliveryID(
      logID: log.logID, cursor: "archive", first: .zero, end: Offset(300), contentDigest: digest)
    let intent = Intent(
      id: id, first: .zero, end: Offset(300), contentDigest: digest, plan: plan, createdAt: .fixed)
    try await cursor.begin(intent)
    let watched = WatchedLog(log)
    _ = try await Delivery(from: cursor, source: watched, to: try sink(root)).run(untilCaughtUpWith: nil)
    #expect(watched.counted.opened == 1 && watched.counted.unopenedBlocks > 0)
    #expect(try await isSound(log, root))
    try await log.close()
  }
}
