import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

@Suite("A replay by event times", .timeLimit(.minutes(4))) struct EventWindowReplayTests {
  @TemporaryDirectory private var directory: String

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

  @Test(arguments: [false, true])
  func `delivers what a scan selects, and its dry run counts just that`(isSealed: Bool) async throws {
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

  @Test func `keeps its window over a crash at any step, though its id alone continues it`() async throws {
    let source = InMemorySource()
    for number in 0..<24 { source.append("{\"n\":\(number),\"ts\":\(number % 7)}") }
    let rows = source.allRecords.map { String(decoding: $0, as: UTF8.self) }.filter { row in
      (2...4).contains { row.hasSuffix(":\($0)}") }
    }
    func time(_ second: Double) -> Position { .eventTime(Timestamp(seconds: second)) }
    let window = ReplayWindow(from: time(2), to: time(5))
    try await expectRows(
      rows, of: source, replayedInto: directory,
      window: { number, replays in number == 0 || replays.manifest("r1") == nil ? window : nil },
      layout: { _ in
        var layout = ExportLayout()
        layout.replay = "r1"
        return layout
      })
  }

  @Test func `has its window in every sink's plan, and an open batch follows the plan, not the configuration`() throws {
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
      #expect(body.eventCount == 3, "\(sink.description)")
      #expect(try sink.selection(plan: plan) == EventSelection(window: window))
      let rows = [#"{"ts":1}"#, #"{"ts":2.9}"#, #"{"n":1}"#]
      let whole = sink is WebhookSink ? "[\(rows.joined(separator: ","))]" : rows.map { $0 + "\n" }.joined()
      #expect(String(decoding: body.bytes, as: UTF8.self) == whole)
      let everything = try sink.prepare(batch, plan: try sink.plan(outline(batch)))
      #expect(everything.eventCount == 5)
      // As a later version might write it.
      let text = String(decoding: plan, as: UTF8.self).replacing(" include\n", with: " never\n")
      #expect(throws: SinkError.self) { try sink.prepare(batch, plan: Array(text.utf8)) }
    }
    // A body that is streamed leaves out the same.
    let export = ExportPlan(key: "k", compression: .zstd(level: 3), selection: EventSelection(window: window))
    #expect(!export.acceptsCompressedFrames)
    let streamed = try export.prepare(batch, streamingAbove: 0)
    let whole = try export.prepare(batch)
    #expect(streamed.contentDigest == whole.contentDigest && streamed.eventCount == 3)
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

/// Deliveries and replays through real sinks, with a filter.
@Suite("A filtered destination", .timeLimit(.minutes(1))) struct FilteredReplayTests {
  @TemporaryDirectory private var directory: String
  private let source = InMemorySource()

  init() {
    for number in 0..<20 {
      let app = number % 3 == 0 || (6..<12).contains(number) ? "other" : "mine"
      source.append(#"{"app_id":"\#(app)","n":\#(number)}"#)
    }
  }

  /// The rows a destination should have.
  private func rows(_ range: Range<Int>) -> [String] {
    source.allRecords[range].map { String(decoding: $0, as: UTF8.self) }.filter { $0.contains("mine") }
  }

  private func layout(replay: String? = nil, filter: String = "app=mine") throws -> ExportLayout {
    var layout = ExportLayout()
    layout.filter = try EventFilter(parsing: filter)
    layout.replay = replay
    return layout
  }

  @Test func `passes what is filtered, counts it, and makes no object of nothing`() async throws {
    let cursor = InMemoryCursor(named: "archive", of: source)
    let delivery = Delivery(
      from: cursor.acquire(), source: source, to: try DirectorySink(root: directory, layout: layout()),
      policy: BatchPolicy(maxRecords: 6))
    let report = try await delivery.run(untilCaughtUpWith: nil)
    #expect(cursor.state.committed == Offset(20) && report.records == 20 && report.batches == 2)
    #expect(report.events == rows(0..<20).count)
    let progress = await delivery.progress
    #expect(progress.events == report.events && progress.filtered == 20 - report.events)
    let names = try objects(below: directory)
    // Six events each, whatever lies between them.
    #expect(names.map { String($0.suffix(46).prefix(20)) }.map { Int($0) } == [0, 15])
    #expect(try PenstockSinksTests.rows(below: directory, names) == rows(0..<20))
    let empty = try await Delivery(
      from: InMemoryCursor(named: "empty", of: source).acquire(), source: source,
      to: try DirectorySink(root: directory, layout: layout(filter: "app=nobody"))
    ).run(untilCaughtUpWith: nil)
    #expect(empty.batches == 1 && empty.events == 0 && empty.end == Offset(20))
    #expect(try objects(below: directory) == names)
  }

  @Test
  func `whose filter changes while no process runs gets each object by one of the filters, none twice`() async throws {
    try await expectRows(
      rows(1..<19), of: source, replayedInto: directory, window: { _, _ in ReplayWindow(Offset(1)..<Offset(19)) },
      layout: { try layout(replay: "r1", filter: $0 == 0 ? "app=mine" : "!app=other") })
  }
}
