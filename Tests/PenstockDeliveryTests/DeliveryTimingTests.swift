import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit
import ServiceLifecycle
import Testing

@Suite("A delivery in time", .timeLimit(.minutes(1)))
struct DeliveryTimingTests {
  let slow = BatchPolicy(maxRecords: 3, maxWait: .seconds(5))

  @Test("sends a partial batch when its first record has waited long enough, later ones or not")
  func age() async throws {
    let rig = DeliveryRig()
    let sink = ScriptedSink()
    let notices = NoticeLog()
    let delivery = rig.delivery(to: sink, policy: slow, observer: notices.observer)
    let run = Task { try await delivery.run() }
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
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("sends a full batch at once, without the clock")
  func full() async throws {
    let rig = DeliveryRig()
    let sink = ScriptedSink()
    let delivery = rig.delivery(to: sink, policy: slow)
    let run = Task { try await delivery.run() }
    for number in 0..<3 { rig.source.append("record \(number)") }
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    #expect(rig.clock.now() == MonotonicInstant(sinceStart: .zero) && sink.destination.arrivals.count == 1)
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("a record that was appended before a restart does not wait as long again")
  func ageThroughRestart() async throws {
    let rig = DeliveryRig(records: 1)
    rig.clock.advance(by: .seconds(4))
    let delivery = rig.delivery(to: ScriptedSink(), policy: slow)
    let run = Task { try await delivery.run() }
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(5)))
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("a time of day that jumps back an hour does not make a batch wait longer than its policy says")
  func clockJump() async throws {
    let rig = DeliveryRig(records: 1)
    rig.clock.timeOfDay.advance(seconds: -3600)
    let delivery = rig.delivery(to: ScriptedSink(), policy: slow)
    let run = Task { try await delivery.run() }
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(5)))
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("closes a batch at the full hour")
  func boundary() async throws {
    let rig = DeliveryRig(records: 1)
    let notices = NoticeLog()
    let hourly = BatchPolicy(maxRecords: 3, maxWait: .seconds(86400), boundary: .seconds(3600))
    let delivery = rig.delivery(to: ScriptedSink(), policy: hourly, observer: notices.observer)
    let run = Task { try await delivery.run() }
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(3600)))
    rig.clock.advance(to: due)
    #expect(await rig.cursor.wait { $0.committed == Offset(1) })
    #expect(notices.closeReasons == [.boundary])
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("backs off longer after every failure, for as long as the destination asks, and starts anew after success")
  func backoff() async throws {
    let rig = DeliveryRig(records: 3)
    let down = ScriptedSink.Step.answer(.retry(reason: "503", after: nil))
    let busy = ScriptedSink.Step.answer(.retry(reason: "429", after: .seconds(30)))
    let sink = ScriptedSink(script: [down, down, down, busy, .accept, down])
    let delivery = rig.delivery(to: sink)
    let run = Task { try await delivery.run() }
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
    delivery.stop()
    try await outcome(of: run)
    #expect(sink.destination.content == rig.content && sink.renderings == 2)
  }

  @Test("asks a destination that refuses it again after the long wait, or when told to")
  func refused() async throws {
    let rig = DeliveryRig(records: 3)
    let refusal = ScriptedSink.Step.answer(.refused(reason: "401"))
    let sink = ScriptedSink(script: [refusal, refusal])
    let delivery = rig.delivery(to: sink, retry: RetryPolicy(refusedWait: .seconds(600)))
    let run = Task { try await delivery.run() }
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(600)))
    #expect(await delivery.progress.activity == .halted)
    rig.clock.advance(to: due)
    #expect(await rig.clock.sleeper() == MonotonicInstant(sinceStart: .seconds(1200)))
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    delivery.stop()
    try await outcome(of: run)
  }

  @Test("gives up, if it may, when failures have lasted too long")
  func givesUp() async throws {
    let rig = DeliveryRig(records: 1)
    let sink = ScriptedSink(last: .answer(.retry(reason: "down", after: .seconds(4))))
    let delivery = rig.delivery(to: sink, retry: RetryPolicy(giveUpAfter: .seconds(10)))
    let run = Task { try await delivery.run(untilCaughtUpWith: nil) }
    for _ in 1...2 { rig.clock.advance(to: await rig.clock.sleeper()) }
    let failure = await #expect(throws: DeliveryFailure.self) { try await outcome(of: run) }
    #expect(failure?.trouble.kind == .gaveUp && rig.clock.now() == MonotonicInstant(sinceStart: .seconds(8)))
    #expect(rig.cursor.state.inFlight.count == 1)
  }

  @Test("at a graceful shutdown finishes and commits the attempt in flight and begins no other")
  func gracefulShutdown() async throws {
    let rig = DeliveryRig(records: 9)
    let sink = ScriptedSink(script: [.accept], last: .acceptWhenReleased)
    let delivery = rig.delivery(to: sink)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let group = ServiceGroup(services: [delivery], logger: logger)
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

  @Test("a graceful shutdown ends a backoff at once; the batch stays open and is first in the next run")
  func shutdownInBackoff() async throws {
    let rig = DeliveryRig(records: 3)
    let destination = RecordingDestination()
    let delivery = rig.delivery(to: ScriptedSink(destination, script: [.loseAnswer]))
    let run = Task { try await delivery.run() }
    _ = await rig.clock.sleeper()
    delivery.stop()
    try await outcome(of: run)
    #expect(rig.cursor.state.inFlight.count == 1)
    _ = try await rig.delivery(to: ScriptedSink(destination)).run(untilCaughtUpWith: nil)
    #expect(destination.arrivals.count == 2 && destination.distinct.count == 1 && destination.violations.isEmpty)
  }

  @Test("stopped before it is run, it sends nothing")
  func stoppedEarly() async throws {
    let rig = DeliveryRig(records: 3)
    let sink = ScriptedSink()
    let delivery = rig.delivery(to: sink)
    delivery.stop()
    #expect(try await delivery.run(untilCaughtUpWith: nil).ending == .stopped)
    #expect(sink.destination.arrivals.isEmpty && rig.cursor.history.isEmpty)
  }
}
