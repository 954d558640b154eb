import PenstockDelivery
import PenstockLog
import Synchronization

/// The service's metrics, in Prometheus' text format (version 0.0.4). Names, units and labels follow its conventions.
/// No label contains data of a client.
final class ServiceMetrics: Sendable {
  private struct State {
    /// Answers by the first digit of their status; index 0 counts invalid ones.
    var answers = [Int](repeating: 0, count: 6)
    var refusals: [Int: Int] = [:]
    var log = LogCounters()
    var fullDisk = FullDiskDetector()
  }
  private let state = Mutex(State())
  private let pace: any MonotonicClock

  init(pace: any MonotonicClock = SystemMonotonicClock()) { self.pace = pace }

  func note(status: Int) {
    state.withLock { $0.answers[min(max(0, status / 100), 5)] += 1 }
  }

  func noteRefusal(status: Int) { state.withLock { $0.refusals[status, default: 0] += 1 } }

  /// Whether a write or a sync failed: the log accepts no appends until it is opened again.
  var hasLogFailed: Bool { state.withLock { $0.log.hasFailed } }

  /// Whether the disk is full; see ``FullDiskDetector``.
  func isFull(freeBytes: UInt64?, needed: UInt64) -> Bool {
    let now = pace.now()
    return state.withLock { $0.fullDisk.isFull(freeBytes: freeBytes, needed: needed, at: now) }
  }

  func note(_ event: LogObserverEvent) {
    let now = pace.now()
    state.withLock { state in
      state.log.note(event)
      state.fullDisk.note(event, at: now)
    }
  }

  func answer(_ admin: AdminAPI) async -> Answer {
    let (answers, refusals, log) = state.withLock { ($0.answers, $0.refusals, $0.log) }
    var text = PrometheusText()
    for digit in 2...5 {
      text.add(
        "penstock_http_responses_total", "counter", "HTTP responses by status class.", Double(answers[digit]),
        [("class", "\(digit)xx")])
    }
    for status in [401, 403, 429] {
      text.add(
        "penstock_http_refusals_total", "counter",
        "HTTP requests refused for a missing or invalid key (401), missing rights (403) or a rate limit (429).",
        Double(refusals[status] ?? 0), [("status", "\(status)")])
    }
    let damaged = Set(admin.damage().map(\.part))
    for part in ServiceDamage.Part.allCases {
      text.add(
        "penstock_damaged", "gauge",
        "1 when the file of API keys, the idempotency journal or the audit log is damaged or unusable, else 0.",
        damaged.contains(part) ? 1 : 0, [("part", part.rawValue)])
    }
    text.add(
      "penstock_ready", "gauge", "1 when the service accepts events, as /readyz reports, else 0.",
      admin.isReady ? 1 : 0)
    addIngest(admin, &text)
    log.add(to: &text)
    await addLog(admin, &text)
    var answer = Answer(200, text.text)
    answer.contentType = "text/plain; version=0.0.4; charset=utf-8"
    return answer
  }

  private func addIngest(_ admin: AdminAPI, _ text: inout PrometheusText) {
    let counts = admin.ingest.counters.counts
    let rows: [(String, String, Int)] = [
      ("requests", "Ingest requests that the service has answered, with any status.", counts.requests),
      ("events", "Events appended to the log by ingest requests.", counts.events),
      ("bytes", "Bytes of events appended to the log by ingest requests.", counts.bytes),
      ("duplicates", "Ingest requests that repeated an earlier one and appended nothing.", counts.duplicates),
      ("refused_records", "Invalid records left out of ingest requests that were answered 200.", counts.refusedRecords),
      ("refused", "Ingest requests rejected because of their content or headers (4xx except 429).", counts.refused),
      ("pushed_back", "Ingest requests answered 429; the client should send them again.", counts.pushedBack),
      ("failed", "Ingest requests answered 5xx; the client should send them again.", counts.failed),
    ]
    for (name, help, value) in rows { text.add("penstock_ingest_\(name)_total", "counter", help, Double(value)) }
    text.add(
      "penstock_ingest_body_memory_bytes", "gauge",
      "Memory in bytes held by the bodies of ingest requests in progress.",
      Double(admin.ingest.budget.used))
    text.add(
      "penstock_ingest_idempotency_keys", "gauge", "Idempotency keys that the service remembers.",
      Double(admin.ingest.knownKeys))
  }

  private func addLog(_ admin: AdminAPI, _ text: inout PrometheusText) async {
    let segments = admin.log.view.set.segments
    text.add(
      "penstock_log_end_offset", "gauge", "Offset after the newest record of the log.", Double(admin.log.end.rawValue))
    text.add(
      "penstock_log_first_offset", "gauge", "Offset of the oldest record of the log.", Double(admin.log.first.rawValue))
    text.add("penstock_log_segments", "gauge", "Segment files of the log.", Double(segments.count))
    let now = admin.clock.now()
    for (runner, facts) in zip(admin.runners, await DestinationRunner.facts(of: admin.runners, at: now)) {
      let label = [("destination", runner.destination.name)]
      let progress = facts.progress
      func add(_ name: String, _ type: String, _ help: String, _ value: Double?) {
        if let value { text.add("penstock_delivery_\(name)", type, help, value, label) }
      }
      add("records_total", "counter", "Records delivered since the start.", progress.map { Double($0.records) })
      add("bytes_total", "counter", "Bytes of records delivered since the start.", progress.map { Double($0.bytes) })
      add(
        "attempts_total", "counter", "Delivery attempts since the start, with retries.",
        progress.map { Double($0.attempts) })
      add(
        "retries_total", "counter", "Delivery attempts since the start that repeated a failed one.",
        progress.map { Double($0.retries) })
      add(
        "dead_letters_total", "counter", "Records written to the dead-letter log since the start.",
        progress.map { Double($0.deadLetters) })
      add("running", "gauge", "1 while the delivery runs, else 0.", progress == nil ? 0 : 1)
      add(
        "halted", "gauge", "1 while the delivery is halted until an operator acts, else 0.",
        progress.map { $0.activity == .halted ? 1 : 0 })
      guard let lag = runner.lag(facts) else { continue }
      add("lag_records", "gauge", "Durable records that are not delivered yet.", Double(lag.records))
      add(
        "lag_bytes", "gauge", "Stored (compressed) bytes of the records that are not delivered yet.",
        Double(lag.storedBytes))
      add(
        "lag_seconds", "gauge", "Age in seconds of the oldest record that is not delivered yet.", lag.age / .seconds(1))
    }
  }
}

/// Counts the events of a log.
struct LogCounters: Sendable {
  private var commits = 0
  /// The upper bounds of the histogram's buckets, in seconds.
  private static let syncBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
  /// The syncs in each bucket; the last one is above every bound.
  private var syncCounts = [Int](repeating: 0, count: Self.syncBounds.count + 1)
  private var syncSeconds = 0.0
  private var rawBytes = 0
  private var storedBytes = 0
  private var failures = 0
  private(set) var hasFailed = false

  mutating func note(_ event: LogObserverEvent) {
    switch event {
    case .wroteBlock(let block):
      rawBytes += block.rawBytes
      storedBytes += block.storedBytes
    case .synced(let duration):
      let seconds = duration / .seconds(1)
      syncCounts[Self.syncBounds.firstIndex { seconds <= $0 } ?? Self.syncBounds.count] += 1
      syncSeconds += seconds
    case .committed: commits += 1
    case .failed(let appends, let code):
      failures += appends
      if code == .poisoned { hasFailed = true }
    default: break
    }
  }

  func add(to text: inout PrometheusText) {
    text.add(
      "penstock_log_commits_total", "counter",
      "Commits: groups of appends that the log acknowledged together.", Double(commits))
    text.add(
      "penstock_log_append_failures_total", "counter", "Appends that failed, with those rejected by a full disk.",
      Double(failures))
    text.add(
      "penstock_log_raw_bytes_total", "counter", "Uncompressed bytes of the records written to the log.",
      Double(rawBytes))
    text.add(
      "penstock_log_stored_bytes_total", "counter", "Stored (compressed) bytes of the records written to the log.",
      Double(storedBytes))
    text.addHistogram(
      "penstock_log_sync_seconds", "Duration in seconds of the syncs of the log.", bounds: Self.syncBounds,
      counts: syncCounts, sum: syncSeconds)
  }
}

/// Passes the events of the log to the metrics.
struct ServiceLogObserver: LogObserver {
  let metrics: ServiceMetrics
  func observe(_ event: LogObserverEvent) { metrics.note(event) }
}

/// Builds the exposition format: `# HELP` and `# TYPE` once for each name, then a line for each set of labels. Lines of
/// one name must be adjacent, so they are collected by name and joined at the end.
struct PrometheusText {
  private var names: [String] = []
  private var families: [String: (head: String, lines: String)] = [:]

  mutating func add(_ name: String, _ type: String, _ help: String, _ value: Double, _ labels: [(String, String)] = [])
  {
    var set = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
    if !set.isEmpty { set = "{\(set)}" }
    addLine(name + set, value, family: name, type, help)
  }

  /// Adds a histogram. `counts` has one count for each of the ascending `bounds`, and one for larger values.
  mutating func addHistogram(_ name: String, _ help: String, bounds: [Double], counts: [Int], sum: Double) {
    var total = 0
    for (bound, count) in zip(bounds.map { "\($0)" } + ["+Inf"], counts) {
      total += count
      addLine("\(name)_bucket{le=\"\(bound)\"}", Double(total), family: name, "histogram", help)
    }
    addLine(name + "_sum", sum, family: name, "histogram", help)
    addLine(name + "_count", Double(total), family: name, "histogram", help)
  }

  private mutating func addLine(_ series: String, _ value: Double, family name: String, _ type: String, _ help: String)
  {
    let number = value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : "\(value)"
    if families[name] == nil {
      names.append(name)
      families[name] = ("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n", "")
    }
    families[name]?.lines += "\(series) \(number)\n"
  }

  var text: String { names.compactMap { families[$0].map { $0.head + $0.lines } }.joined() }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
