import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

@Suite("A replay that dies", .timeLimit(.minutes(3))) struct ReplayCrashTests {
  /// Runs one process until the replay is over or it has died. Every other process has another configuration, and the
  /// destination loses an answer in each.
  func live(_ rig: ReplayRig, gaps: [Range<Offset>], number: Int, crash: CrashSwitch) async throws -> ReplayReport? {
    let sink = ScriptedSink(
      rig.destination, lineEnding: number % 2 == 0 ? "\n" : "\r\n", script: [.accept, .loseAnswer],
      faults: .init(crash: crash))
    let replay = rig.replay(
      rig.window(1, 7), to: sink, reading: GappySource(inner: rig.source, gaps: gaps), gaps: .skip,
      policy: BatchPolicy(maxRecords: 2 + number % 2), crash: crash)
    let result = await PenstockDeliveryTests.live(until: crash) { try await replay.run() }
    if crash.isDead { return try? result.get() }
    return try result.get()
  }

  /// Dies at `steps`, one after the other, and then finishes; returns how many steps each process made.
  func lives(dyingAt steps: [Int], gaps: [Range<Offset>] = []) async throws -> [Int] {
    let rig = ReplayRig(records: 8)
    var last: ReplayReport?
    let counts = try await eachLife(dyingAt: steps) { number, crash in
      last = try await live(rig, gaps: gaps, number: number, crash: crash)
    }
    let lost = (1..<7).filter { offset in gaps.contains { $0.contains(Offset(UInt64(offset))) } }
    let expected = (1..<7).filter { !lost.contains($0) }.flatMap { rig.content($0..<$0 + 1) }
    #expect(rig.destination.content.filter { $0 != UInt8(ascii: "\r") } == expected, "died at \(steps)")
    if gaps.isEmpty { #expect(rig.destination.violations.isEmpty, "died at \(steps): \(rig.destination.violations)") }
    #expect(rig.replays.cursor("again") == nil && rig.replays.manifest("again")?.isFinished == true, "died at \(steps)")
    #expect(last?.manifest.skippedRecords == lost.count, "died at \(steps)")
    return counts
  }

  @Test func `between any two steps is followed by one that finishes it: every record arrives once`() async throws {
    let whole = try await lives(dyingAt: [])
    #expect(whole[0] > 30)
    for step in 1...whole[0] { _ = try await lives(dyingAt: [step]) }
  }

  @Test func `while it skips lost records counts each once`() async throws {
    let gaps = [Offset(0)..<Offset(2), Offset(4)..<Offset(5), Offset(6)..<Offset(8)]
    let whole = try await lives(dyingAt: [], gaps: gaps)
    for step in 1...whole[0] { _ = try await lives(dyingAt: [step], gaps: gaps) }
  }

  @Test func `twice, at any two steps, does no more harm`() async throws {
    let whole = try await lives(dyingAt: [])
    for first in 1...whole[0] {
      for second in 1...whole[0] where try await lives(dyingAt: [first, second])[1] < second { break }
    }
  }

  @Test(arguments: 0..<50 as Range<UInt64>)
  func `again and again, at steps drawn from a seed, still finishes`(seed: UInt64) async throws {
    var generator = SplitMix64(seed: seed)
    let steps = (0..<8).map { _ in 1 + generator.below(20) }
    #expect(try await lives(dyingAt: steps, gaps: [Offset(3)..<Offset(4)]).count == 9)
  }
}
