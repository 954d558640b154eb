import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

/// What has gone wrong in other deliveries, where no other suite has it; docs/internals/incidents.md has them all.
@Suite("Incidents of other deliveries", .timeLimit(.minutes(1)))
struct DeliveryIncidentTests {
  @Test("appends are answered while a destination hangs, and wait for none of it")
  func appendsGoOn() async throws {
    let disk = SimulatedFileSystem()
    let log = try await Log.open(at: "/log", environment: DeadLetterLogTests.environment(disk, salt: 7))
    let clock = ManualDeliveryClock()
    try await log.append("record 0")
    let hung = ScriptedSink(last: .hang, description: "hung")
    let delivery = Delivery(
      from: try await log.cursor(named: "hung"), source: log, to: hung, policy: BatchPolicy(maxRecords: 1),
      environment: DeliveryEnvironment(
        clock: clock, wallClock: clock.timeOfDay, random: { 0 },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    let run = Task { try await delivery.run() }
    await hung.untilDeliveries(1)
    for number in 1..<200 { try await log.append("record \(number)") }
    #expect(log.end == Offset(200))
    #expect(await delivery.progress.committed == .zero)
    run.cancel()
    _ = try? await run.value
    try await log.close()
  }

  @Test("the first record after a long silence waits for others as long as any")
  func firstAfterSilence() async throws {
    let rig = DeliveryRig()
    let sink = ScriptedSink()
    let delivery = rig.delivery(to: sink, policy: BatchPolicy(maxRecords: 3, maxWait: .seconds(5)))
    let run = Task { try await delivery.run() }
    rig.source.append("record 0")
    rig.clock.advance(to: await rig.clock.sleeper())
    #expect(await rig.cursor.wait { $0.committed == Offset(1) })
    await rig.source.untilSomebodyWaits(past: Offset(1))
    rig.clock.advance(by: .seconds(3600))
    rig.source.append("record 1")
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(3610)))
    rig.source.append("record 2")
    await rig.source.untilSomebodyWaits(past: Offset(3))
    await rig.clock.untilSomebodySleeps(until: due)
    #expect(sink.destination.arrivals.count == 1)
    rig.clock.advance(to: due)
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    #expect(sink.destination.arrivals.map(\.range) == [Offset(0)..<Offset(1), Offset(1)..<Offset(3)])
    delivery.stop()
    try await outcome(of: run)
  }
}
