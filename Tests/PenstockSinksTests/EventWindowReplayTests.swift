import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

@Suite("A replay by event times", .timeLimit(.minutes(4)))
struct EventWindowReplayTests {
  /// A window, and what a scan says of it.
  private struct Trial {
    var window: ReplayWindow
    var rows: [String]

    init(_ log: WindowLog, _ random: inout SplitMix64) {
      let untimed = EventWindow.Untimed.allCases[random.below(3)]
      var (from, until): (Int64?, Int64?) = (log.time(&random), log.time(&random))
      if let low = from, let high = until, low > high { (from, until) = (until, from) }
      var (first, end) = (0, log.entries.count)
      window = ReplayWindow(from: .beginning, to: .end, untimed: untimed)
      switch random.below(6) {
      case 0:
        from = nil
        first = random.below(end / 2)
        window.from = .offset(Offset(UInt64(first)))
      case 1:
        until = nil
        end -= random.below(end / 2)
        window.to = .offset(Offset(UInt64(end)))
      case 2: from = nil
      case 3: until = nil
      default: break
      }
      if let from { window.from = .eventTime(Timestamp(nanoseconds: from)) }
      if let until { window.to = .eventTime(Timestamp(nanoseconds: until)) }
      rows = log.scan(first, end, from, until, untimed.rawValue)
    }
  }

  @Test("delivers what a scan selects, and its dry run counts just that", arguments: [false, true])
  func equalsScan(isSealed: Bool) async throws {
    for seed in 1...2 as ClosedRange<UInt64> {
      let log = try WindowLog(seed: seed, records: 2_500, isSealed: isSealed)
      let reader = try await log.reader()
      defer { reader.close() }
      var random = SplitMix64(seed: seed + 100)
      var sizes: Set<Int> = []
      for number in 0..<50 {
        let trial = Trial(log, &random)
        let name: Comment = "seed \(seed), window \(number): \(trial.window)"
        sizes.insert(trial.rows.count)
        var settings = ReplaySettings(
          id: "w\(number)", window: trial.window, policy: BatchPolicy(maxRecords: 1 + random.below(900)))
        let estimate = try await Replay.dryRun(settings, of: reader)
        #expect(estimate.events == trial.rows.count, name)
        #expect(estimate.eventBytes == trial.rows.reduce(0) { $0 + $1.utf8.count }, name)
        let path = "/rows\(number)"
        // Stopped somewhere, and gone on with by its id alone.
        let stopper = Stopper(after: random.below(4))
        let first = Replay(
          settings, of: reader, to: try FileSink(path: path, fileSystem: log.disk), observer: { stopper.see($0) })
        stopper.watch(first)
        let begun = try await first.run()
        settings.window = nil
        let report = try await Replay(settings, of: reader, to: try FileSink(path: path, fileSystem: log.disk)).run()
        let rows = trial.rows.map { $0 + "\n" }.joined()
        #expect(String(decoding: log.disk.contents(path) ?? [], as: UTF8.self) == rows, name)
        #expect(report.manifest.isFinished && begun.events + report.events == trial.rows.count, name)
        #expect(begun.untimed + report.untimed == estimate.untimed, name)
        #expect(try await Replay.dryRun(settings, of: reader).events == trial.rows.count, name)
      }
      #expect(sizes.count > 20 && sizes.contains { $0 > 1_000 }, "the windows are no good: \(sizes)")
    }
  }

  @Test("keeps its window over a crash at any step, though it is gone on with by its id alone")
  func crashes() async throws {
    let source = InMemorySource()
    for number in 0..<24 { source.append("{\"n\":\(number),\"ts\":\(number % 7)}") }
    let rows = source.allRecords.map { String(decoding: $0, as: UTF8.self) }.filter { row in
      (2...4).contains { row.hasSuffix(":\($0)}") }
    }
    func time(_ second: Double) -> Position { .eventTime(Timestamp(seconds: second)) }
    var (steps, step) = (1, 0)
    while step <= steps {
      try await withTemporaryDirectory { directory in
        let replays = InMemoryReplays(of: source)
        for (number, fatal) in [step == 0 ? nil : step, nil].enumerated() {
          let crash = CrashSwitch(at: fatal)
          var layout = ExportLayout()
          layout.replay = "r1"
          let window = number == 0 || replays.manifest("r1") == nil ? ReplayWindow(from: time(2), to: time(5)) : nil
          let replay = Replay(
            ReplaySettings(id: "r1", window: window, policy: BatchPolicy(maxRecords: 5)), of: replays.log(crash: crash),
            to: try DirectorySink(root: directory, layout: layout))
          let run = Task { try await replay.run() }
          let reaper = Task { if await crash.untilDead() { run.cancel() } }
          _ = await run.result
          reaper.cancel()
          if step == 0 { steps = max(steps, crash.steps.count) }
        }
        var found: [String] = []
        for name in try files(below: directory) where !name.contains("/_penstock/") {
          found += String(decoding: try read(directory + "/" + name), as: UTF8.self).split(separator: "\n").map(
            String.init)
        }
        #expect(found == rows, "died at \(step)")
        #expect(replays.manifest("r1")?.isFinished == true, "died at \(step)")
      }
      step += 1
    }
    #expect(steps > 15)
  }

  @Test("has its window in every sink's plan, and an open batch follows the plan, not the configuration")
  func plans() throws {
    let window = EventWindow(
      from: Timestamp(nanoseconds: -5), until: Timestamp(nanoseconds: 3_000_000_000), untimed: .include)
    let batch = makeBatch([#"{"ts":1}"#, #"{"ts":3}"#, #"{"ts":2.9}"#, #"{"n":1}"#, #"{"ts":-0.000000006}"#])
    var planned = outline(batch)
    planned.events = window
    var webhook = WebhookConfiguration(url: "https://example.com/")
    webhook.replay = "r"
    let sinks: [any Sink] = [
      try WebhookSink(webhook), try DirectorySink(root: "x"),
      try FileSink(path: "x", fileSystem: SimulatedFileSystem()),
    ]
    for sink in sinks {
      let plan = try sink.plan(planned)
      #expect(sink.appliesEventWindows)
      #expect(String(decoding: plan, as: UTF8.self).contains("window=-5..3000000000 include\n"))
      let body = try sink.prepare(batch, plan: plan)
      #expect(body.eventCount == 3 && body.untimedCount == 1, "\(sink.description)")
      let rows = [#"{"ts":1}"#, #"{"ts":2.9}"#, #"{"n":1}"#]
      let whole = sink is WebhookSink ? "[\(rows.joined(separator: ","))]" : rows.map { $0 + "\n" }.joined()
      #expect(String(decoding: body.bytes, as: UTF8.self) == whole)
      let everything = try sink.prepare(batch, plan: try sink.plan(outline(batch)))
      #expect(everything.eventCount == 5 && everything.untimedCount == 0)
      // As a later version might write it.
      let text = String(decoding: plan, as: UTF8.self).replacing(" include\n", with: " never\n")
      #expect(throws: SinkError.self) { try sink.prepare(batch, plan: Array(text.utf8)) }
    }
    // A body that is streamed leaves out the same.
    let export = ExportPlan(key: "k", compression: .zstd(level: 3), selection: .all, events: window)
    #expect(!export.acceptsCompressedFrames)
    let streamed = try export.prepare(batch, streamingAbove: 0)
    let whole = try export.prepare(batch)
    #expect(streamed.contentDigest == whole.contentDigest && streamed.eventCount == 3 && streamed.untimedCount == 1)
  }
}

/// Stops a replay after some batches.
private final class Stopper: Sendable {
  private let state: Mutex<(replay: Replay?, left: Int)>

  init(after batches: Int) { state = Mutex((nil, batches)) }

  func watch(_ replay: Replay) {
    let isOver = state.withLock { state in
      state.replay = replay
      return state.left == 0
    }
    if isOver { replay.stop() }
  }

  func see(_ notice: ReplayObserverEvent) {
    guard case .delivery(.committed) = notice else { return }
    let replay = state.withLock { state in
      state.left -= 1
      return state.left == 0 ? state.replay : nil
    }
    replay?.stop()
  }
}
