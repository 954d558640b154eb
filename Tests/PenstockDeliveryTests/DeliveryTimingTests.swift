import PenstockDelivery
import PenstockLog
import PenstockTestKit
import ServiceLifecycle
import Testing

@Suite("A delivery in time", .timeLimit(.minutes(3))) struct DeliveryTimingTests {
  private let rig = DeliveryRig(records: 3)
  private let sink = ScriptedSink()
  private let notices = NoticeLog()
  let slow = BatchPolicy(maxRecords: 3, maxWait: .seconds(5))

  @Test func `sends a partial batch when its first record has waited long enough, later ones or not`() async throws {
    let rig = DeliveryRig()
    let (delivery, run) = rig.delivery(to: sink, policy: slow, observer: notices.observer).started()
    await rig.source.untilSomebodyWaits(past: .zero)
    #expect(rig.clock.sleepers.isEmpty)
    rig.source.append("record 0")
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(5)))
    rig.clock.advance(by: .seconds(3))
    rig.source.append("record 1")
    await rig.source.untilSomebodyWaits(past: Offset(2))
    await rig.clock.untilSomebodySleeps(until: due)
    #expect(rig.clock.sleepers == [due] && sink.destination.arrivals.isEmpty)
    rig.clock.advance(to: due)
    #expect(await rig.cursor.wait { $0.committed == Offset(2) })
    #expect(sink.destination.arrivals.count == 1 && notices.closeReasons == [.age])
    try await stop(delivery, run)
  }

  @Test func `sends a full batch at once, without the clock`() async throws {
    let rig = DeliveryRig()
    let (delivery, run) = rig.delivery(to: sink, policy: slow).started()
    for number in 0..<3 { rig.source.append("record \(number)") }
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    #expect(rig.clock.now() == MonotonicInstant(sinceStart: .zero) && sink.destination.arrivals.count == 1)
    try await stop(delivery, run)
  }

  @Test(arguments: [(.seconds(4), 0), (.zero, -3600)] as [(Duration, Int64)])
  func `neither a restart nor a time of day that jumps back makes a record wait longer than its policy says`(
    passed: Duration, jump: Int64
  ) async throws {
    let rig = DeliveryRig(records: 1)
    rig.clock.advance(by: passed)
    rig.clock.timeOfDay.advance(seconds: jump)
    let (delivery, run) = rig.delivery(to: sink, policy: slow).started()
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(5)))
    try await stop(delivery, run)
  }

  @Test func `closes a batch at the full hour`() async throws {
    let rig = DeliveryRig(records: 1)
    let hourly = BatchPolicy(maxRecords: 3, maxWait: .seconds(86400), boundary: .seconds(3600))
    let (delivery, run) = rig.delivery(to: ScriptedSink(), policy: hourly, observer: notices.observer).started()
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(3600)))
    rig.clock.advance(to: due)
    #expect(await rig.cursor.wait { $0.committed == Offset(1) })
    #expect(notices.closeReasons == [.boundary])
    try await stop(delivery, run)
  }

  @Test
  func `backs off longer after every failure, as long as it is asked to, and starts over after success`() async throws {
    let down = ScriptedSink.Step.answer(.retry(reason: "503", after: nil))
    let busy = ScriptedSink.Step.answer(.retry(reason: "429", after: .seconds(30)))
    let sink = ScriptedSink(script: [down, down, down, busy, .accept, down])
    let (delivery, run) = rig.delivery(to: sink).started()
    // Half of 1, 2 and 4 seconds; then 30 as asked; the next batch begins with half a second again.
    for (wait, attempt) in zip([0.5, 1, 2, 30, 0.5], [1, 2, 3, 4, 6]) {
      let due = await rig.clock.sleeper()
      #expect(due - rig.clock.now() == .seconds(wait))
      let progress = await delivery.progress
      #expect(progress.activity == .backingOff && progress.attempts == attempt)
      #expect(progress.nextTry == Timestamp(seconds: rig.clock.timeOfDay.now().seconds + wait))
      rig.clock.advance(to: due)
      if attempt == 4 {
        #expect(await rig.cursor.wait { $0.committed == Offset(3) })
        for number in 3..<6 { rig.source.append("record \(number)") }
      }
    }
    #expect(await rig.cursor.wait { $0.committed == Offset(6) })
    try await stop(delivery, run)
    #expect(sink.destination.content == rig.content && sink.renderings == 2)
  }

  @Test func `asks a destination that refuses it again after the long wait, or when asked to`() async throws {
    let refusal = ScriptedSink.Step.answer(.refused(reason: "401"))
    let sink = ScriptedSink(script: [refusal, refusal])
    let (delivery, run) = rig.delivery(to: sink, retry: RetryPolicy(refusedWait: .seconds(600))).started()
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(600)))
    #expect(await delivery.progress.activity == .halted)
    rig.clock.advance(to: due)
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(1200)))
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    try await stop(delivery, run)
  }

  @Test func `gives up, if it may, when failures have lasted too long`() async throws {
    let rig = DeliveryRig(records: 1)
    let sink = ScriptedSink(last: .answer(.retry(reason: "down", after: .seconds(4))))
    let delivery = rig.delivery(to: sink, retry: RetryPolicy(giveUpAfter: .seconds(10)))
    let run = Task { try await delivery.run(untilCaughtUpWith: nil) }
    for _ in 1...2 { rig.clock.advance(to: await rig.clock.sleeper()) }
    let failure = await #expect(throws: DeliveryFailure.self) { try await outcome(of: run) }
    #expect(failure?.trouble.kind == .gaveUp && rig.clock.now() == MonotonicInstant(sinceStart: .seconds(8)))
    #expect(rig.cursor.state.inFlight.count == 1)
  }

  @Test func `at a graceful shutdown finishes and commits the attempt in flight and begins no other`() async throws {
    let rig = DeliveryRig(records: 9)
    let sink = ScriptedSink(script: [.accept], last: .acceptWhenReleased)
    let delivery = rig.delivery(to: sink)
    let group = ServiceGroup(services: [delivery], logger: silent)
    let run = Task { try await group.run() }
    await sink.untilDeliveries(2)
    await group.triggerGracefulShutdown()
    await delivery.untilStopping()
    sink.release()
    // The group sees a service that returned during its shutdown, which is in order.
    _ = try await outcome(of: run)
    #expect(rig.cursor.state.committed == Offset(6) && rig.cursor.state.inFlight.isEmpty)
    #expect(sink.destination.arrivals.count == 2 && sink.closings == 1)
  }

  @Test
  func `a graceful shutdown ends a backoff at once; the batch stays open and is first in the next run`() async throws {
    let destination = RecordingDestination()
    let (delivery, run) = rig.delivery(to: ScriptedSink(destination, script: [.loseAnswer])).started()
    _ = await rig.clock.sleeper()
    try await stop(delivery, run)
    #expect(rig.cursor.state.inFlight.count == 1)
    _ = try await rig.delivery(to: ScriptedSink(destination)).run(untilCaughtUpWith: nil)
    #expect(destination.arrivals.count == 2 && destination.distinct.count == 1 && destination.violations.isEmpty)
  }

  @Test func `stopped before it is run, it sends nothing`() async throws {
    let delivery = rig.delivery(to: sink)
    delivery.stop()
    #expect(try await delivery.run(untilCaughtUpWith: nil).ending == .stopped)
    #expect(sink.destination.arrivals.isEmpty && rig.cursor.history.isEmpty)
  }
}
