import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

/// A log of events in disorder, with duplicates, outliers and records without a time, and what a scan of it selects.
/// The times are known from making the records, not from reading them.
struct WindowLog {
  struct Entry {
    let text: String
    /// In nanoseconds; nil where the record has none that can be read.
    let time: Int64?
    let appended: Timestamp
  }

  static let start: Int64 = 1_700_000_000_000_000_000
  static let second: Int64 = 1_000_000_000
  let disk = SimulatedFileSystem()
  private(set) var entries: [Entry] = []

  /// - Parameter isSealed: with its segments compressed again into fewer, larger blocks.
  init(seed: UInt64, records: Int, isSealed: Bool) throws {
    var random = SplitMix64(seed: seed)
    let clock = ManualClock(Timestamp(nanoseconds: Self.start))
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    (configuration.blockBytes, configuration.sealing) = (4 << 10, .settings(SealingSettings()))
    let writer = try LogOpening.open("/log", configuration, Self.environment(disk, clock))
    while entries.count < records {
      clock.advance(seconds: Int64(random.below(20)))
      var batch = RecordBatch()
      // Some appends do not look at their records, as `append --no-validate`.
      let isTold = random.below(4) != 0
      for _ in 0...random.below(12) {
        let entry = Self.entry(entries.count, &random, clock.now(), last: entries.last?.time ?? nil)
        entries.append(entry)
        if isTold {
          batch.append(entry.text, eventTime: entry.time.map { Timestamp(nanoseconds: $0) })
        } else {
          batch.append(entry.text)
        }
      }
      _ = try writer.write([batch])
      try writer.synchronize()
      try writer.publish()
    }
    if isSealed {
      let sealer = try #require(writer.sealer)
      var plan = SealingPlan()
      var count = 0
      while let job = plan.next(in: writer.view.set.segments.map(\.name)) {
        _ = try sealer.seal(job, in: writer.view)
        plan.finished(job, .done)
        count += 1
      }
      try #require(count > 2)
    }
    try writer.close()
  }

  func reader() async throws -> LogReader {
    try await LogReader.open(at: "/log", environment: Self.environment(disk, ManualClock()))
  }

  private static func environment(_ disk: SimulatedFileSystem, _ clock: ManualClock) -> LogEnvironment {
    let salt = Atomic<UInt64>(0)
    return LogEnvironment(
      fileSystem: disk, clock: clock,
      randomBytes: {
        let number = UInt8(truncatingIfNeeded: salt.add(1, ordering: .relaxed).newValue)
        return [UInt8](repeating: number, count: 16)
      })
  }

  private static func entry(_ number: Int, _ random: inout SplitMix64, _ now: Timestamp, last: Int64?) -> Entry {
    var time = start + (Int64(number) * 5 - Int64(random.below(300))) * second + Int64(random.below(1_000_000_000))
    switch random.below(60) {
    case 0: time = start + 400_000_000 * second
    case 1: time = 12 * second
    case 2...5: time = last ?? time
    case 6:
      let odd = [
        "{\"n\":\(number)}", "{\"n\":\(number),\"ts\":null}", "{\"n\":\(number),\"ts\":\"1700000100\"}",
        "not an event \(number)", "{\"n\":\(number),\"ts\":1700000100,\"ts\":1700000100}", "[\(number)]",
        "{\"n\":\(number),\"in\":{\"ts\":1700000100}}", "{\"n\":\(number),\"ts\":1700000100",
      ]
      return Entry(text: odd[random.below(odd.count)], time: nil, appended: now)
    default: break
    }
    let fraction = String(String(time % second + second).dropFirst())
    let key = random.below(20) == 0 ? "\\u0074s" : "ts"
    return Entry(text: "{\"n\":\(number),\"\(key)\":\(time / second).\(fraction)}", time: time, appended: now)
  }

  /// The records from `first` up to `end` that a window holds, by a scan.
  func scan(_ first: Int, _ end: Int, _ from: Int64?, _ until: Int64?, _ untimed: String) -> [String] {
    entries[min(first, end)..<end].filter { entry in
      guard let time = entry.time ?? (untimed == "append-time" ? entry.appended.nanoseconds : nil) else {
        return untimed == "include"
      }
      return (from ?? .min) <= time && until.map { time < $0 } ?? true
    }.map(\.text)
  }

  /// A time somewhere, or exactly at an event, or just before or after it.
  func time(_ random: inout SplitMix64) -> Int64 {
    let near = entries[random.below(entries.count)].time ?? Self.start
    return random.below(2) == 0 ? near + Int64(random.below(3)) - 1 : near + Int64(random.below(600)) * Self.second
  }
}

/// Replays into a directory below `directory` once for each step at which a process can die, and once without a death.
/// After each death a second process finishes the replay. `window` and `layout` are those of a process, by its number.
func expectRows(
  _ expected: [String], of source: InMemorySource, replayedInto directory: String,
  window: (Int, InMemoryReplays) -> ReplayWindow?, layout: (Int) throws -> ExportLayout
) async throws {
  var (steps, step) = (1, 0)
  while step <= steps {
    let (replays, place) = (InMemoryReplays(of: source), "\(directory)/\(step)")
    for (number, fatal) in [step == 0 ? nil : step, nil].enumerated() {
      let crash = CrashSwitch(at: fatal)
      let replay = Replay(
        ReplaySettings(id: "r1", window: window(number, replays), policy: BatchPolicy(maxRecords: 5)),
        of: replays.log(crash: crash), to: try DirectorySink(root: place, layout: layout(number)))
      let run = Task { try await replay.run() }
      let reaper = Task { if await crash.untilDead() { run.cancel() } }
      _ = await run.result
      reaper.cancel()
      if step == 0 { steps = max(steps, crash.steps.count) }
    }
    let names = try objects(below: place)
    #expect(names.allSatisfy { $0.hasPrefix("exports/replays/r1/usages-") }, "\(names)")
    #expect(try rows(below: place, names) == expected, "died at \(step)")
    #expect(replays.manifest("r1")?.isFinished == true, "died at \(step)")
    step += 1
  }
  #expect(steps > 15)
}
