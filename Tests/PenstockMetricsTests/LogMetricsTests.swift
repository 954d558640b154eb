import CoreMetrics
import InMemoryTracing
import MetricsTestKit
import PenstockLog
import PenstockMetrics
import PenstockTestKit
import Testing
import Tracing

/// Exact figures after known work, in a backend in memory.
@Suite(.timeLimit(.minutes(1))) struct LogMetricsTests {
  private let metrics = TestMetrics()
  private let disk = SimulatedFileSystem()

  private func environment(_ observer: any LogObserver) -> LogEnvironment {
    var environment = LogEnvironment(
      fileSystem: disk, clock: ManualClock(), randomBytes: { [UInt8](repeating: 7, count: 16) })
    environment.observer = observer
    return environment
  }

  private func counter(_ name: String) throws -> Int64 {
    try metrics.expectCounter("penstock_" + name, [("log", "l")]).totalValue
  }

  private func gauge(_ name: String, _ more: [(String, String)] = []) throws -> Double? {
    try metrics.expectRecorder("penstock_" + name, [("log", "l")] + more).values.last
  }

  private func timings(_ name: String, _ more: [(String, String)] = []) throws -> Int {
    try metrics.expectTimer("penstock_" + name, [("log", "l")] + more).values.count
  }

  private func batch(_ count: Int) -> RecordBatch {
    var batch = RecordBatch()
    for number in 0..<count { batch.append("record \(number)") }
    return batch
  }

  @Test func `appends, records, bytes, commits and syncs are counted exactly`() async throws {
    let log = try await Log.open(at: "/log", environment: environment(LogMetrics(log: "l", factory: metrics)))
    for count in [1, 10, 100] { try await log.append(batch(count)) }
    try await log.close()
    #expect(try counter("log_appends_total") == 3)
    #expect(try counter("log_records_total") == 111)
    #expect(try counter("log_commits_total") == 3)
    #expect(try counter("log_blocks_total") == 3)
    #expect(try counter("log_raw_bytes_total") == [1, 10, 100].reduce(0) { $0 + Int64(batch($1).byteCount + $1) })
    #expect(try counter("log_stored_bytes_total") == 3 * 4096)
    #expect(try timings("log_commit_duration_seconds") == 3 && timings("log_sync_duration_seconds") == 3)
    #expect(
      try gauge("log_queue_bytes") == 0 && gauge("log_queue_limit_bytes") == Double(LogConfiguration().queueBytes))
    #expect(try gauge("log_end_offset") == 111 && gauge("log_open") == 0)
    #expect(try timings("log_open_duration_seconds") == 1)
    #expect(try counter("log_append_failures_total") == 0)
  }

  @Test func `a cursor's lag follows the log's end and its commits`() async throws {
    let log = try await Log.open(at: "/log", environment: environment(LogMetrics(log: "l", factory: metrics)))
    try await log.append(batch(10))
    let cursor = try await log.cursor(named: "c")
    let taken = try #require(try await cursor.next(upTo: .init(records: 4)))
    try await cursor.commit(taken)
    let label = [("cursor", "c")]
    #expect(try gauge("cursor_lag_records", label) == 6 && gauge("cursor_committed_offset", label) == 4)
    try await log.append(batch(5))
    try await log.close()
    #expect(try gauge("cursor_lag_records", label) == 11)
    #expect(try timings("cursor_begin_duration_seconds", label) == 1)
    #expect(try timings("cursor_commit_duration_seconds", label) == 1)
    #expect(try counter("log_blocks_decoded_total") == 1 && counter("log_block_cache_hits_total") == 0)
  }

  @Test func `segments, sealing and retention are counted`() async throws {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.retention = RetentionPolicy(maxBytes: 64 << 10)
    configuration.sealing = .off
    let log = try await Log.open(
      at: "/log", configuration: configuration, environment: environment(LogMetrics(log: "l", factory: metrics)))
    for _ in 0..<30 { try await log.append(batch(1)) }
    let report = try await log.trim()
    try await log.close()
    let finished = try counter("log_segments_finished_total")
    #expect(finished == 2, "64 KiB take 14 pages of blocks")
    #expect(try counter("log_segments_dropped_total") == finished)
    #expect(try gauge("log_segment_bytes") == Double(report.bytes))
    #expect(try gauge("log_first_offset") == Double(report.first.rawValue) && gauge("log_retention_holds") == 0)
  }

  @Test func `spans tell what was opened and committed`() async throws {
    let tracer = InMemoryTracer()
    let log = try await Log.open(at: "/log", environment: environment(LogTracing(log: "l", tracer: tracer)))
    try await log.append(batch(3))
    try await log.append(batch(2))
    try await log.close()
    let spans = tracer.finishedSpans
    #expect(spans.map(\.operationName) == ["penstock.open", "penstock.commit", "penstock.commit"])
    #expect(spans.allSatisfy { $0.startInstant.nanosecondsSinceEpoch <= $0.endInstant.nanosecondsSinceEpoch })
    #expect(spans.last?.attributes.get("penstock.records") == .int64(2))
    #expect(spans.last?.attributes.get("penstock.offset.first") == .int64(3))
    #expect(spans.last?.attributes.get("penstock.log") == .string("l"))
    #expect(tracer.activeSpans.isEmpty)
  }

  @Test func `two observers are both told`() async throws {
    let tracer = InMemoryTracer()
    let both = LogObservers([LogMetrics(log: "l", factory: metrics), LogTracing(log: "l", tracer: tracer)])
    let log = try await Log.open(at: "/log", environment: environment(both))
    try await log.append(batch(1))
    try await log.close()
    #expect(try counter("log_appends_total") == 1 && tracer.finishedSpans.count == 2)
  }
}
