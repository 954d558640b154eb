import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("A paused destination", .timeLimit(.minutes(2))) struct DeliveryPauseTests {
  private let sink = ScriptedSink()
  private let rig = DeliveryRig(records: 3)

  /// Runs as a service while `body` goes on.
  private func serving(_ delivery: Delivery, _ body: () async throws -> Void) async throws {
    let (_, run) = delivery.started()
    do { try await body() } catch {
      delivery.stop()
      throw error
    }
    try await stop(delivery, run)
  }

  @Test func `is sent nothing from before the run on, and everything once it is resumed`() async throws {
    let rig = DeliveryRig(records: 6)
    let delivery = rig.delivery(to: sink)
    try await delivery.pause(reason: "bucket moves")
    #expect(rig.cursor.pause == CursorPause(since: rig.clock.timeOfDay.now(), reason: "bucket moves"))
    try await serving(delivery) {
      #expect(await delivery.waitForProgress { $0.activity == .paused })
      let progress = await delivery.progress
      #expect(progress.pause?.reason == "bucket moves" && progress.trouble == nil && progress.lagRecords == 6)
      #expect(sink.attempts.isEmpty && sink.renderings == 0)
      try await delivery.resume()
      #expect(await rig.cursor.wait { $0.committed == Offset(6) })
      #expect(rig.cursor.pause == nil && sink.destination.content == rig.content)
      #expect(await delivery.waitForProgress { $0.activity == .gathering && $0.pause == nil })
    }
  }

  @Test func `by another process, begins nothing more, and continues a second after it is resumed`() async throws {
    let delivery = rig.delivery(to: sink)
    try await serving(delivery) {
      #expect(await rig.cursor.wait { $0.committed == Offset(3) })
      await rig.source.untilSomebodyWaits(past: Offset(3))
      rig.cursor.pause = CursorPause(since: nil)
      for number in 3..<6 { rig.source.append("record \(number)") }
      #expect(await delivery.waitForProgress { $0.activity == .paused })
      let look = await rig.clock.sleeper()
      #expect(look == rig.clock.now() + .seconds(1) && sink.attempts.count == 1)
      rig.clock.advance(to: look)
      let next = await rig.clock.sleeper()
      #expect(next == look + .seconds(1) && rig.cursor.state.inFlight.isEmpty)
      rig.cursor.pause = nil
      rig.clock.advance(to: next)
      #expect(await rig.cursor.wait { $0.committed == Offset(6) })
    }
    #expect(sink.destination.content == rig.content && sink.destination.violations.isEmpty)
  }

  @Test func `while an attempt is under way commits what it delivered, and begins no other`() async throws {
    let rig = DeliveryRig(records: 6)
    let sink = ScriptedSink(script: [.acceptWhenReleased])
    let delivery = rig.delivery(to: sink)
    try await serving(delivery) {
      await sink.untilDeliveries(1)
      try await delivery.pause()
      sink.release()
      #expect(await delivery.waitForProgress { $0.activity == .paused })
      #expect(rig.cursor.state.committed == Offset(3) && rig.cursor.state.inFlight.isEmpty)
      #expect(sink.attempts.count == 1)
    }
    #expect(rig.cursor.pause != nil)
  }

  @Test
  func `keeps a failed batch open over a restart, and sends it with its id and bytes when resumed`() async throws {
    let destination = RecordingDestination()
    let first = ScriptedSink(destination, script: [.answer(.retry(reason: "503", after: nil))])
    let delivery = rig.delivery(to: first)
    try await serving(delivery) {
      #expect(await delivery.waitForProgress { $0.activity == .backingOff })
      try await delivery.pause()
      #expect(await delivery.waitForProgress { $0.activity == .paused })
      // Neither the wait that was due nor a person's impatience ends a pause.
      rig.clock.advance(by: .seconds(600))
      delivery.retryNow()
      _ = await rig.clock.sleeper()
      #expect(first.attempts.count == 1 && rig.cursor.state.inFlight.count == 1)
    }
    rig.source.append("record 3")
    let second = ScriptedSink(destination)
    let next = rig.delivery(to: second, policy: BatchPolicy(maxRecords: 9, maxWait: .zero))
    try await serving(next) {
      #expect(await next.waitForProgress { $0.activity == .paused })
      #expect(second.attempts.isEmpty && second.renderings == 0)
      try await next.resume()
      #expect(await rig.cursor.wait { $0.committed == Offset(4) })
    }
    #expect(second.attempts == [.zero..<Offset(3), Offset(3)..<Offset(4)])
    #expect(destination.violations.isEmpty && destination.content == rig.content)
  }

  @Test func `ends a run that was to catch up, and says so`() async throws {
    rig.cursor.pause = CursorPause(since: nil)
    let report = try await rig.delivery(to: sink).run(untilCaughtUpWith: nil)
    #expect(report.ending == .paused && sink.attempts.isEmpty && report.end == .zero)
    rig.cursor.pause = nil
    #expect(try await rig.delivery(to: sink).run(untilCaughtUpWith: nil).ending == .caughtUp)
  }

  @Test func `a pause that cannot be made durable is none, and the first one counts`() async throws {
    let delivery = rig.delivery(to: ScriptedSink())
    rig.cursor.failNext(.pause, with: LogError(.noSpace, "full"))
    let failure = await #expect(throws: LogError.self) { try await delivery.pause() }
    #expect(failure?.code == .noSpace && rig.cursor.pause == nil)
    try await delivery.pause(reason: "first")
    try await delivery.pause(reason: "second")
    #expect(rig.cursor.pause?.reason == "first")
    try await delivery.resume()
    try await delivery.resume()
    #expect(try await delivery.run(untilCaughtUpWith: nil).ending == .caughtUp)
  }

  @Test func `shows as paused in its lag, whatever else it is, unless it is about to lose records`() {
    var meter = LagMeter(cursor: "billing")
    var facts = LagSnapshot(
      at: MonotonicInstant(sinceStart: .zero), timeOfDay: Timestamp(seconds: 10_000), committed: .zero, end: Offset(5))
    (facts.oldestAppendTime, facts.activity) = (Timestamp(seconds: 0), .halted)
    facts.pause = CursorPause(since: Timestamp(seconds: 9_400), reason: "bucket moves")
    _ = meter.observe(facts)
    facts.at = MonotonicInstant(sinceStart: .seconds(5000))
    let lag = meter.observe(facts)
    #expect(lag.health == .paused)
    #expect(lag.words.hasPrefix("cursor billing has been paused by an operator for 10 m 0 s (bucket moves): 5 records"))
    facts.lost = .zero..<Offset(1)
    #expect(meter.observe(facts).health == .losing)
  }
}
