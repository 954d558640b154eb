public import CoreMetrics
public import PenstockLog

/// Records metrics of a log, for any backend of swift-metrics.
///
/// ```swift
/// var environment = LogEnvironment.system
/// environment.observer = LogMetrics(log: "events")
/// let log = try await Log.open(at: path, environment: environment)
/// ```
///
/// Names follow Prometheus: the unit is part of the name, and counters end in `_total`. Every metric has the dimension
/// `log`; those of cursors also `cursor`. `docs/metrics.md` lists them; `docs/alarms.md` says what to alert on. Metrics
/// are created once and updated without a look-up. A group of appends costs about ten updates, however many records it
/// has.
public final class LogMetrics: LogObserver {
  private let appending: AppendMetrics
  private let storage: StorageMetrics
  private let reading: ReadMetrics

  /// - Parameters:
  ///   - log: The name of the log, used as the dimension `log`.
  ///   - factory: The metrics backend; by default the one of the process.
  public init(log: String, factory: any MetricsFactory = MetricsSystem.factory) {
    let maker = MetricMaker(factory: factory, dimensions: [("log", log)])
    appending = AppendMetrics(maker)
    storage = StorageMetrics(maker)
    reading = ReadMetrics(maker)
  }

  /// Counts an event of the log. Safe to call from any thread.
  public func observe(_ event: LogObserverEvent) {
    switch event {
    case .wroteBlock, .synced, .committed, .failed, .waitedForRoom, .parked: appending.observe(event)
    case .opened, .rolled, .sealed, .notSealed, .trimmed, .closed: storage.observe(event)
    case .readBlock, .movedCursor: reading.observe(event)
    @unknown default: break
    }
    // The end moves with every group, and so does the lag of each cursor.
    if case .committed(let group) = event { reading.logEnds(at: group.offsets.upperBound) }
    if case .opened(let report, _) = event { reading.logEnds(at: report.end) }
  }
}

/// Creates the metrics of one log.
struct MetricMaker {
  let factory: any MetricsFactory
  let dimensions: [(String, String)]

  func counter(_ name: String, _ more: [(String, String)] = []) -> Counter {
    Counter(label: "penstock_" + name, dimensions: dimensions + more, factory: factory)
  }

  func gauge(_ name: String, _ more: [(String, String)] = []) -> Gauge {
    Gauge(label: "penstock_" + name, dimensions: dimensions + more, factory: factory)
  }

  /// Records nanoseconds; backends report seconds, as the name says.
  func timer(_ name: String, _ more: [(String, String)] = []) -> Timer {
    Timer(label: "penstock_" + name, dimensions: dimensions + more, factory: factory)
  }
}

extension Timer {
  func record(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
  }
}

/// Metrics of appends.
struct AppendMetrics: Sendable {
  private let appends, records, groups, blocks, rawBytes, storedBytes, failed, waits, parked: Counter
  private let commit, sync, write, wait: Timer
  private let queueBytes, queueLimit: Gauge

  init(_ make: MetricMaker) {
    appends = make.counter("log_appends_total")
    records = make.counter("log_records_total")
    groups = make.counter("log_commits_total")
    blocks = make.counter("log_blocks_total")
    rawBytes = make.counter("log_raw_bytes_total")
    storedBytes = make.counter("log_stored_bytes_total")
    failed = make.counter("log_append_failures_total")
    waits = make.counter("log_queue_waits_total")
    parked = make.counter("log_disk_full_total")
    commit = make.timer("log_commit_duration_seconds")
    sync = make.timer("log_sync_duration_seconds")
    write = make.timer("log_block_write_duration_seconds")
    wait = make.timer("log_queue_wait_duration_seconds")
    queueBytes = make.gauge("log_queue_bytes")
    queueLimit = make.gauge("log_queue_limit_bytes")
  }

  func observe(_ event: LogObserverEvent) {
    switch event {
    case .wroteBlock(let block):
      blocks.increment()
      records.increment(by: block.offsets.upperBound - block.offsets.lowerBound)
      rawBytes.increment(by: block.rawBytes)
      storedBytes.increment(by: block.storedBytes)
      write.record(block.duration)
    case .synced(let duration): sync.record(duration)
    case .committed(let group):
      groups.increment()
      appends.increment(by: group.appends)
      commit.record(group.latency)
      queueBytes.record(group.queuedBytes)
      queueLimit.record(group.queueLimit)
    case .failed(let count, let code):
      failed.increment(by: count)
      if code == .noSpace { parked.increment() }
    case .waitedForRoom(let duration):
      waits.increment()
      wait.record(duration)
    case .parked: parked.increment()
    default: break
    }
  }
}

/// Metrics of segments.
struct StorageMetrics: Sendable {
  private let rolls, seals, notSealed, sealedBefore, sealedAfter, trims, dropped, droppedBytes, passed: Counter
  private let opened, roll, seal, trim: Timer
  private let gaps, segmentBytes, first, holds, isOpen: Gauge

  init(_ make: MetricMaker) {
    rolls = make.counter("log_segments_finished_total")
    seals = make.counter("log_segments_sealed_total")
    notSealed = make.counter("log_seal_failures_total")
    sealedBefore = make.counter("log_sealed_bytes_before_total")
    sealedAfter = make.counter("log_sealed_bytes_after_total")
    trims = make.counter("log_retention_runs_total")
    dropped = make.counter("log_segments_dropped_total")
    droppedBytes = make.counter("log_dropped_bytes_total")
    passed = make.counter("log_cursors_passed_total")
    opened = make.timer("log_open_duration_seconds")
    roll = make.timer("log_roll_duration_seconds")
    seal = make.timer("log_seal_duration_seconds")
    trim = make.timer("log_retention_duration_seconds")
    gaps = make.gauge("log_recovery_gaps")
    segmentBytes = make.gauge("log_segment_bytes")
    first = make.gauge("log_first_offset")
    holds = make.gauge("log_retention_holds")
    isOpen = make.gauge("log_open")
  }

  func observe(_ event: LogObserverEvent) {
    switch event {
    case .opened(let report, let duration):
      opened.record(duration)
      gaps.record(report.gaps.count)
      isOpen.record(1)
    case .closed: isOpen.record(0)
    case .rolled(_, let duration):
      rolls.increment()
      roll.record(duration)
    case .sealed(let sealed):
      seals.increment()
      sealedBefore.increment(by: sealed.bytesBefore)
      sealedAfter.increment(by: sealed.bytesAfter)
      seal.record(sealed.duration)
    case .notSealed: notSealed.increment()
    case .trimmed(let report, let duration):
      trims.increment()
      dropped.increment(by: report.droppedSegments)
      droppedBytes.increment(by: report.droppedBytes)
      passed.increment(by: report.losses.count)
      segmentBytes.record(report.bytes)
      first.record(report.first.rawValue)
      holds.record(report.holds.count)
      trim.record(duration)
    default: break
    }
  }
}
