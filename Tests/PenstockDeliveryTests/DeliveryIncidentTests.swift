import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

/// What has gone wrong in other deliveries, where no other suite has it; docs/internals/incidents.md has them all.
@Suite("Incidents of other deliveries", .timeLimit(.minutes(3))) struct DeliveryIncidentTests {
  @Test func `appends are answered while a destination hangs, and wait for none of it`() async throws {
    let disk = SimulatedFileSystem()
    let log = try await Log.open(at: "/log", environment: DeadLetterLogTests.environment(disk, salt: 7))
    try await log.append("record 0")
    let hung = ScriptedSink(last: .hang, description: "hung")
    let (delivery, run) = Delivery(
      from: try await log.cursor(named: "hung"), source: log, to: hung, policy: BatchPolicy(maxRecords: 1),
      environment: DeliveryRig().environment()
    ).started()
    await hung.untilDeliveries(1)
    for number in 1..<200 { try await log.append("record \(number)") }
    #expect(log.end == Offset(200))
    #expect(await delivery.progress.committed == .zero)
    run.cancel()
    _ = try? await run.value
    try await log.close()
  }

  @Test func `the first record after a long silence waits for others as long as any`() async throws {
    let rig = DeliveryRig()
    let sink = ScriptedSink()
    let (delivery, run) = rig.delivery(to: sink, policy: BatchPolicy(maxRecords: 3, maxWait: .seconds(5))).started()
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
    try await stop(delivery, run)
  }
}

@Suite("Lost records before a delivery", .timeLimit(.minutes(2))) struct DeliveryGapTests {
  private func delivery(
    _ rig: DeliveryRig, gap: Range<Offset>, to sink: any Sink,
    policy: BatchPolicy = BatchPolicy(maxRecords: 9, maxWait: .seconds(60)), observer: NoticeLog = NoticeLog()
  ) -> Delivery {
    Delivery(
      from: rig.cursor.acquire(), source: GappySource(inner: rig.source, gaps: [gap]), to: sink, policy: policy,
      environment: rig.environment(roll: 1 << 63, observer.observer))
  }

  @Test func `what comes before a gap is delivered at once, and then the gap halts it`() async throws {
    let rig = DeliveryRig(records: 8)
    let (sink, notices) = (ScriptedSink(), NoticeLog())
    let (delivery, run) = delivery(rig, gap: Offset(4)..<Offset(6), to: sink, observer: notices).started()
    #expect(await delivery.waitForProgress { $0.activity == .halted })
    #expect(sink.attempts == [.zero..<Offset(4)] && rig.cursor.state.committed == Offset(4))
    #expect(notices.closeReasons == [.gap])
    #expect(await delivery.progress.trouble?.kind == .unreadable)
    try await stop(delivery, run)
  }

  @Test
  func `so it is where an end was asked for: what could be delivered is, and the gap is the failure`() async throws {
    let rig = DeliveryRig(records: 8)
    let sink = ScriptedSink()
    let delivery = delivery(rig, gap: Offset(4)..<Offset(6), to: sink)
    let failure = await #expect(throws: DeliveryFailure.self) { try await delivery.run(untilCaughtUpWith: nil) }
    #expect((failure?.cause as? LogError)?.gap?.first == Offset(4) && sink.attempts == [.zero..<Offset(4)])
  }
}
