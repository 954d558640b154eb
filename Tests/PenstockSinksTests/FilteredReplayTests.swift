import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

@testable import PenstockSinks

/// Deliveries and replays through real sinks, with a filter.
@Suite("A filtered destination", .timeLimit(.minutes(1)))
struct FilteredReplayTests {
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

  /// Without the manifest.
  private func objects(below directory: String) throws -> [String] {
    try files(below: directory).filter { !$0.contains("/_penstock/") }
  }

  private func rows(below directory: String, _ names: [String]) throws -> [String] {
    try names.flatMap { name in
      String(decoding: try read(directory + "/" + name), as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  @Test("passes what is filtered, counts it, and makes no object of nothing")
  func offsets() async throws {
    try await withTemporaryDirectory { directory in
      let cursor = InMemoryCursor(named: "archive", of: source)
      let delivery = Delivery(
        from: cursor.acquire(), source: source, to: try DirectorySink(root: directory, layout: layout()),
        policy: BatchPolicy(maxRecords: 6))
      let report = try await delivery.run(untilCaughtUpWith: nil)
      #expect(cursor.state.committed == Offset(20) && report.records == 20 && report.batches == 4)
      #expect(report.events == rows(0..<20).count)
      let progress = await delivery.progress
      #expect(progress.events == report.events && progress.filtered == 20 - report.events)
      let names = try objects(below: directory)
      // 6 ..< 12 are all filtered.
      #expect(names.map { String($0.suffix(46).prefix(20)) }.map { Int($0) } == [0, 12, 18])
      #expect(try rows(below: directory, names) == rows(0..<20))
    }
  }

  @Test("whose filter changes while a process is dead gets every object as one of the filters has it, none twice")
  func crashes() async throws {
    let window = ReplayWindow(Offset(1)..<Offset(19))
    var (steps, step) = (1, 0)
    while step <= steps {
      try await withTemporaryDirectory { directory in
        let replays = InMemoryReplays(of: source)
        for (number, fatal) in [step == 0 ? nil : step, nil].enumerated() {
          let crash = CrashSwitch(at: fatal)
          let sink = try DirectorySink(
            root: directory, layout: layout(replay: "r1", filter: number == 0 ? "app=mine" : "!app=other"))
          let replay = Replay(
            ReplaySettings(id: "r1", window: window, policy: BatchPolicy(maxRecords: 5)), of: replays.log(crash: crash),
            to: sink)
          let run = Task { try await replay.run() }
          let reaper = Task { if await crash.untilDead() { run.cancel() } }
          _ = await run.result
          reaper.cancel()
          if step == 0 { steps = max(steps, crash.steps.count) }
        }
        let names = try objects(below: directory)
        #expect(names.allSatisfy { $0.hasPrefix("exports/replays/r1/usages-") }, "\(names)")
        #expect(try rows(below: directory, names) == rows(1..<19), "died at \(step)")
        #expect(replays.manifest("r1")?.isFinished == true, "died at \(step)")
      }
      step += 1
    }
    #expect(steps > 15)
  }
}
