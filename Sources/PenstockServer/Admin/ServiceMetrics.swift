import PenstockDelivery
import PenstockLog
import Synchronization

/// What the service counts, in Prometheus' text format (version 0.0.4). Names, units and labels follow its conventions; no label
/// holds what a client sent.
final class ServiceMetrics: Sendable {
  private struct State {
    /// Answers by the first digit of their status.
    var answers = [Int](repeating: 0, count: 6)
    var refusals: [Int: Int] = [:]
    var log = LogCounters()
    var room = RoomTally()
  }
  private let state = Mutex(State())
  private let pace: any MonotonicClock

  init(pace: any MonotonicClock = SystemMonotonicClock()) { self.pace = pace }

  func note(status: Int) {
    state.withLock { $0.answers[min(max(0, status / 100), 5)] += 1 }
  }

  func noteRefusal(status: Int) { state.withLock { $0.refusals[status, default: 0] += 1 } }

  /// A write or a sync failed: the log takes nothing until it is opened again.
  var hasLogFailed: Bool { state.withLock { $0.log.hasFailed } }

  /// Whether the newest append found no room on the disk, as ``RoomTally`` says.
  func isFull(freeBytes: UInt64?, needed: UInt64) -> Bool {
    let now = pace.now()
    return state.withLock { $0.room.isFull(freeBytes: freeBytes, needed: needed, at: now) }
  }

  func note(_ notice: LogObserverEvent) {
    let now = pace.now()
    state.withLock { state in
      state.log.note(notice)
      state.room.note(notice, at: now)
    }
  }

  func answer(_ admin: AdminAPI) async -> Answer {
    let (answers, refusals, log) = state.withLock { ($0.answers, $0.refusals, $0.log) }
    var text = PrometheusText()
    for digit in 2...5 {
      text.add(
        "penstock_http_responses_total", "counter", "Answers.", Double(answers[digit]), [("class", "\(digit)xx")])
    }
    for status in [401, 403, 429] {
      text.add(
        "penstock_http_refusals_total", "counter", "Requests that were let in to nothing.",
        Double(refusals[status] ?? 0), [("status", "\(status)")])
    }
    let damaged = Set(admin.damage().map(\.part))
    for part in ServiceDamage.Part.allCases {
      text.add(
        "penstock_damaged", "gauge", "Whether a part beside the log is damaged, or cannot be used.",
        damaged.contains(part) ? 1 : 0, [("part", part.rawValue)])
    }
    text.add("penstock_ready", "gauge", "Whether events are taken.", admin.isReady ? 1 : 0)
    addIngest(admin, &text)
    log.add(to: &text)
    await addLog(admin, &text)
    var answer = Answer(200, text.text)
    answer.contentType = "text/plain; version=0.0.4; charset=utf-8"
    return answer
  }

  private func addIngest(_ admin: AdminAPI, _ text: inout PrometheusText) {
    let tally = admin.ingest.counters.tally
    let rows: [(String, String, Int)] = [
      ("requests", "Requests to append.", tally.requests), ("events", "Events appended.", tally.events),
      ("bytes", "Bytes of events appended.", tally.bytes),
      ("duplicates", "Requests that had been done before.", tally.duplicates),
      ("refused_records", "Records left out.", tally.refusedRecords), ("refused", "Requests refused.", tally.refused),
      ("pushed_back", "Requests asked to come again.", tally.pushedBack),
      ("failed", "Requests that found the service unable.", tally.failed),
    ]
    for (name, help, value) in rows { text.add("penstock_ingest_\(name)_total", "counter", help, Double(value)) }
    text.add(
      "penstock_ingest_body_memory_bytes", "gauge", "Bodies in memory.", Double(admin.ingest.budget.used))
    text.add(
      "penstock_ingest_idempotency_keys", "gauge", "Idempotency keys remembered.", Double(admin.ingest.knownKeys))
  }

  private func addLog(_ admin: AdminAPI, _ text: inout PrometheusText) async {
    let segments = admin.log.view.set.segments
    text.add("penstock_log_end_offset", "gauge", "One past the newest record.", Double(admin.log.end.rawValue))
    text.add("penstock_log_first_offset", "gauge", "The oldest record.", Double(admin.log.first.rawValue))
    text.add("penstock_log_segments", "gauge", "Segment files.", Double(segments.count))
    let now = admin.clock.now()
    for host in admin.hosts {
      let label = [("destination", host.destination.name)]
      let progress = await host.progress
      func add(_ name: String, _ type: String, _ help: String, _ value: Double?) {
        if let value { text.add("penstock_delivery_\(name)", type, help, value, label) }
      }
      add("records_total", "counter", "Records delivered.", progress.map { Double($0.records) })
      add("bytes_total", "counter", "Record bytes delivered.", progress.map { Double($0.bytes) })
      add("attempts_total", "counter", "Attempts.", progress.map { Double($0.attempts) })
      add("retries_total", "counter", "Attempts that were not the first.", progress.map { Double($0.retries) })
      add("dead_letters_total", "counter", "Records given up.", progress.map { Double($0.deadLetters) })
      add("running", "gauge", "Whether its delivery runs.", progress == nil ? 0 : 1)
      add("halted", "gauge", "Whether it waits for a person.", progress.map { $0.activity == .halted ? 1 : 0 })
      guard let lag = host.lag(progress, at: now) else { continue }
      add("lag_records", "gauge", "Durable records not delivered.", Double(lag.records))
      add("lag_bytes", "gauge", "The same as stored bytes.", Double(lag.storedBytes))
      add("lag_seconds", "gauge", "Age of the oldest of them.", lag.age / .seconds(1))
    }
  }
}

/// What a log told.
struct LogCounters: Sendable {
  private var commits = 0
  private var syncs = 0
  private var syncSeconds = 0.0
  private var rawBytes = 0
  private var storedBytes = 0
  private var failures = 0
  private(set) var hasFailed = false

  mutating func note(_ notice: LogObserverEvent) {
    switch notice {
    case .wroteBlock(let block):
      rawBytes += block.rawBytes
      storedBytes += block.storedBytes
    case .synced(let duration):
      syncs += 1
      syncSeconds += duration / .seconds(1)
    case .committed: commits += 1
    case .failed(let appends, let code):
      failures += appends
      if code == .poisoned { hasFailed = true }
    default: break
    }
  }

  func add(to text: inout PrometheusText) {
    text.add("penstock_log_commits_total", "counter", "Groups of appends told.", Double(commits))
    text.add("penstock_log_append_failures_total", "counter", "Appends that failed.", Double(failures))
    text.add("penstock_log_raw_bytes_total", "counter", "Record bytes written.", Double(rawBytes))
    text.add("penstock_log_stored_bytes_total", "counter", "The same as stored.", Double(storedBytes))
    text.add("penstock_log_sync_seconds_sum", "counter", "Time spent in syncs.", syncSeconds)
    text.add("penstock_log_sync_seconds_count", "counter", "Syncs.", Double(syncs))
  }
}

/// Tells the service's metrics what its log does.
struct ServiceLogObserver: LogObserver {
  let metrics: ServiceMetrics
  func observe(_ notice: LogObserverEvent) { metrics.note(notice) }
}

/// The exposition format: `# HELP` and `# TYPE` once for each name, then a line for each set of labels. Values of one name must
/// stand together, so lines are gathered by name and joined at the end.
struct PrometheusText {
  private var names: [String] = []
  private var families: [String: (head: String, lines: String)] = [:]

  mutating func add(_ name: String, _ type: String, _ help: String, _ value: Double, _ labels: [(String, String)] = [])
  {
    var set = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
    if !set.isEmpty { set = "{\(set)}" }
    let number = value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : "\(value)"
    if families[name] == nil {
      names.append(name)
      families[name] = ("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n", "")
    }
    families[name]?.lines += "\(name)\(set) \(number)\n"
  }

  var text: String { names.compactMap { families[$0].map { $0.head + $0.lines } }.joined() }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
