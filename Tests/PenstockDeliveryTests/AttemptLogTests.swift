import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("The list of attempts", .timeLimit(.minutes(3))) struct AttemptLogTests {
  let disk = SimulatedFileSystem()
  var environment: LogEnvironment { DeadLetterLogTests.environment(disk) }

  func delivery(_ rig: DeliveryRig, to sink: any Sink, _ attempts: AttemptLog) -> Delivery {
    Delivery(
      from: rig.cursor.acquire(), source: rig.source, to: sink,
      options: DeliveryOptions(policy: BatchPolicy(maxRecords: 3), retry: RetryPolicy(first: .zero, cap: .zero)),
      environment: rig.environment(attempts: attempts))
  }

  @Test
  func `says what came of each, with time, range, size and words, and counts further after a restart`() async throws {
    try disk.makeDirectory("/log")
    let rig = DeliveryRig(records: 3)
    rig.clock.advance(by: .seconds(9))
    let (first, run) = delivery(
      rig, to: ScriptedSink(script: [.answer(.retry(reason: "503 slow down", after: nil)), .loseAnswer], last: .hang),
      AttemptLog(at: "/log/a", environment: environment)
    ).started()
    #expect(await first.waitForProgress { $0.attempts == 3 })
    // A killed process, as the next one finds its files.
    let next = disk.processKill()
    try await kill(run)
    #expect(first.attempts.attempts.map(\.outcome) == [.retry, .retry, .retry])

    let found = AttemptLog.attempts(at: "/log/a", environment: DeadLetterLogTests.environment(next))
    #expect(found.map(\.outcome) == [.retry, .retry, .underWay] && found.map(\.attempt) == [1, 2, 3])
    #expect(found.map(\.words) == ["503 slow down", "no answer in time", ""])
    #expect(found.allSatisfy { $0.range == .zero..<Offset(3) && $0.bodyBytes == 27 })
    #expect(found[0].time == rig.clock.timeOfDay.now() && found[0].deliveryID == found[2].deliveryID)

    let kept = AttemptLog(at: "/log/a", environment: DeadLetterLogTests.environment(next))
    _ = try await delivery(rig, to: ScriptedSink(), kept).run(untilCaughtUpWith: nil)
    #expect(kept.attempts.last?.attempt == 4 && kept.attempts.last?.number == 4)
    #expect(kept.attempts.last?.outcome == .delivered && kept.attempts.last?.words == "200")
  }

  @Test func `is bounded, in memory and in its file, and reads a file of another size or a damaged one`() async throws {
    try disk.makeDirectory("/log")
    let rig = DeliveryRig(records: 60)
    let log = AttemptLog(at: "/log/a", capacity: 7, environment: environment)
    _ = try await delivery(rig, to: ScriptedSink(), log).run(untilCaughtUpWith: nil)
    #expect(log.attempts.map(\.number) == Array(14...20))
    #expect(disk.contents("/log/a")?.count == 7 * 512)
    #expect(AttemptLog.attempts(at: "/log/a", environment: environment) == log.attempts)
    #expect(AttemptLog(at: "/log/a", capacity: 3, environment: environment).attempts.map(\.number) == [18, 19, 20])
    for position in stride(from: 0, to: 7 * 512, by: 97) {
      let hurt = disk.processKill()
      #expect(hurt.flipBit("/log/a", at: position, bit: 3))
      let left = AttemptLog.attempts(at: "/log/a", environment: DeadLetterLogTests.environment(hurt))
      #expect(left.count == 6 && left.allSatisfy { log.attempts.contains($0) })
    }
  }

  @Test func `that cannot be written costs no delivery`() async throws {
    let log = AttemptLog(at: "/nowhere/a", environment: environment)
    let rig = DeliveryRig(records: 4)
    _ = try await delivery(rig, to: ScriptedSink(), log).run(untilCaughtUpWith: nil)
    #expect(log.attempts.count == 2 && disk.filePaths.isEmpty)
    try disk.makeDirectory("/log")
    let failing = AttemptLog(at: "/log/a", environment: environment)
    disk.fail(fromIO: disk.ioCount + 1, .noSpace)
    rig.source.append("record 4")
    _ = try await delivery(rig, to: ScriptedSink(), failing).run(untilCaughtUpWith: nil)
    #expect(failing.attempts.count == 1 && rig.cursor.state.committed == Offset(5))
  }

  @Test func `keeps at most 256 bytes of words, and whole characters`() async throws {
    let rig = DeliveryRig(records: 1)
    let log = AttemptLog()
    let long = "502 " + String(repeating: "🚰", count: 500)
    _ = try await delivery(rig, to: ScriptedSink(script: [.answer(.retry(reason: long, after: nil))]), log).run(
      untilCaughtUpWith: nil)
    let words = try #require(log.attempts.first?.words)
    #expect(words.utf8.count == 256 && long.hasPrefix(words))
  }
}
