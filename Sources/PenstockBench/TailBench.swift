import ArgumentParser
import Foundation
import PenstockLog
import PenstockSupport
import PenstockToolSupport
import Synchronization

extension BenchCommand {
  struct Tail: BenchSubcommand {
    static let spokenName = "tail"
    static let configuration = CommandConfiguration(
      abstract: "How soon a reader in the same process has a record after it became durable.",
      discussion: """
        One record at a time: the clock starts when the sync that made it durable returns, and stops when the tailing \
        reader holds the record's bytes. The probe: one thread wakes another.

          penstock-bench tail
          penstock-bench tail --dir /data/bench --events 10000 --json
        """)
    @OptionGroup var options: BenchOptions
    @Option(help: "Records a round.") var events = 1000
    @OptionGroup var common: CommonOptions

    func validate() throws {
      guard (1...10_000_000).contains(events) else { throw ValidationError("--events must be 1 to 10000000") }
    }
  }
}

extension BenchCommand.Tail {
  func measure(in directory: String) async throws -> BenchReport {
    let wake = "a thread woken by another, through a semaphore"
    var rows = [
      BenchRow("tail.wake.p50", "wake-up after durable, p50", "µs", against: wake),
      BenchRow("tail.wake.p99", "wake-up after durable, p99", "µs", against: wake, .atMost(50, .ours)),
    ]
    var (ours, threads): ([Double], [Double]) = ([], [])
    try await options.eachRound { number in
      let (woken, raw) = (try await follow(directory + "/log-\(number)"), wakeUps())
      ours += woken
      threads += raw
      let (a, b) = (Samples(seconds: woken), Samples(seconds: raw))
      rows[0].add(a.percentile(0.5), b.percentile(0.5))
      rows[1].add(a.percentile(0.99), b.percentile(0.99))
    }
    let series = [("penstock, tailing reader", ours), ("one thread wakes another", threads)].map {
      BenchSeries(plot: "tail-latency", name: $0, points: Samples(seconds: $1).distribution)
    }
    return report(("events", .number(events)), rows: rows, series: series)
  }

  private func follow(_ path: String) async throws -> [Double] {
    let durable = SharedMoment()
    var environment = LogEnvironment.system
    environment.fileSystem = StampingFileSystem(environment.fileSystem, durable)
    let log = try await Log.open(at: path, configuration: BenchEvents.alone, environment: environment)
    let records = BenchEvents.batches(of: 1, for: 1000)
    let (seen, heard) = AsyncStream<Double>.makeStream()
    let reader = Task {
      for try await batch in log.records(tailing: true).batches() {
        var bytes = 0
        batch.forEachRecord { bytes += $0.bytes.count }
        let now = BenchClock.now()
        heard.yield(bytes > 0 ? Double(now) - Double(durable.nanoseconds) : .nan)
      }
      heard.finish()
    }
    var times: [Double] = []
    var answers = seen.makeAsyncIterator()
    for number in 0..<events {
      try await log.append(records[number % records.count], durability: .disk)
      // The reader waits again before the next record comes.
      if let nanoseconds = await answers.next() { times.append(nanoseconds / 1e9) }
    }
    try await log.close()
    try await reader.value
    return times
  }

  private func wakeUps() -> [Double] {
    let (go, done, moment) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), SharedMoment())
    let woken = SharedMoment()
    let events = events
    Thread {
      for _ in 0..<events {
        go.wait()
        woken.note()
        done.signal()
      }
    }.start()
    return (0..<events).map { _ in
      // As long as a sync, so that the other thread really sleeps.
      usleep(200)
      moment.note()
      go.signal()
      done.wait()
      return Double(woken.nanoseconds - moment.nanoseconds) / 1e9
    }
  }
}

/// A moment one thread notes and another reads, in nanoseconds of the monotonic clock.
final class SharedMoment: Sendable {
  private let value = Atomic<UInt64>(0)
  func note() { value.store(BenchClock.now(), ordering: .releasing) }
  var nanoseconds: UInt64 { value.load(ordering: .acquiring) }
}

/// Notes the moment at which a sync last returned.
struct StampingFileSystem: PassingFileSystem {
  let base: any FileSystem
  private let synced: SharedMoment

  init(_ base: any FileSystem, _ synced: SharedMoment) {
    self.base = base
    self.synced = synced
  }

  func synchronize(_ file: PenstockLog.OpenFileHandle) throws(FileSystemError) {
    try base.synchronize(file)
    synced.note()
  }
}
