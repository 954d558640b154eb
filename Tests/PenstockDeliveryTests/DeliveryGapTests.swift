import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("Lost records before a delivery", .timeLimit(.minutes(2)))
struct DeliveryGapTests {
  private func delivery(
    _ rig: DeliveryRig, gap: Range<Offset>, to sink: any Sink,
    policy: BatchPolicy = BatchPolicy(maxRecords: 9, maxWait: .seconds(60)), observer: NoticeLog = NoticeLog()
  ) -> Delivery {
    Delivery(
      from: rig.cursor.acquire(), source: GappySource(inner: rig.source, gaps: [gap]), to: sink, policy: policy,
      environment: DeliveryEnvironment(
        clock: rig.clock, wallClock: rig.clock.timeOfDay, random: { 1 << 63 }, observer: observer.observer))
  }

  @Test("what stands before a gap is delivered at once, and then the gap halts it")
  func before() async throws {
    let rig = DeliveryRig(records: 8)
    let (sink, notices) = (ScriptedSink(), NoticeLog())
    let delivery = delivery(rig, gap: Offset(4)..<Offset(6), to: sink, observer: notices)
    let run = Task { try await delivery.run() }
    #expect(await delivery.waitForProgress { $0.activity == .halted })
    #expect(sink.attempts == [.zero..<Offset(4)] && rig.cursor.state.committed == Offset(4))
    #expect(notices.closeReasons == [.gap])
    #expect(await delivery.progress.trouble?.kind == .unreadable)
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("so it is where an end was asked for: what could be delivered is, and the gap is the failure")
  func catchingUp() async throws {
    let rig = DeliveryRig(records: 8)
    let sink = ScriptedSink()
    let delivery = delivery(rig, gap: Offset(4)..<Offset(6), to: sink)
    let failure = await #expect(throws: DeliveryFailure.self) { try await delivery.run(untilCaughtUpWith: nil) }
    #expect((failure?.cause as? LogError)?.gap?.first == Offset(4) && sink.attempts == [.zero..<Offset(4)])
  }
}
