import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

@Suite("A delivery with several batches in flight", .timeLimit(.minutes(3))) struct OpenDeliveriesTests {
  let two = DeliveryOptions(maxInFlight: 2)
  let pairs = BatchPolicy(maxRecords: 2)

  @Test func `sends the second before the first is answered, never a third, each after its intent`() async throws {
    let rig = DeliveryRig(records: 12)
    let sink = ScriptedSink(script: [.acceptWhenReleased, .acceptWhenReleased])
    let delivery = rig.delivery(to: sink, policy: pairs, options: two)
    let run = Task { try await delivery.run(untilCaughtUpWith: nil) }
    await sink.untilDeliveries(2)
    #expect(await delivery.waitForProgress { $0.batchesInFlight == 2 && $0.activity == .sending })
    #expect(rig.cursor.state.inFlight.count == 2 && sink.attempts.count == 2 && rig.cursor.state.committed == .zero)
    sink.release()
    let report = try await outcome(of: run)
    #expect(report.records == 12 && report.batches == 6 && report.attempts == 6)
    #expect(Set(sink.attempts).count == 6 && rig.cursor.state.committed == Offset(12))
  }

  @Test func `commits a later batch when it is done and passes it only with the earlier one`() async throws {
    let rig = DeliveryRig(records: 4)
    let sink = ScriptedSink(script: [.acceptWhenReleased, .accept])
    let (delivery, run) = rig.delivery(to: sink, policy: pairs, options: two).started()
    #expect(await rig.cursor.wait { $0.inFlight.last?.isDelivered == true })
    #expect(rig.cursor.state.committed == .zero && rig.cursor.state.inFlight.count == 2)
    sink.release()
    #expect(await rig.cursor.wait { $0.committed == Offset(4) && $0.inFlight.isEmpty })
    try await stop(delivery, run)
  }

  @Test func `is not for a sink that records every range: its entries are a chain`() async throws {
    let rig = DeliveryRig(records: 6)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let chained = SelectingSink(sink: sink, selection: EventSelection(filter: .all), recordsEveryRange: true)
    let delivery = rig.delivery(to: chained, policy: pairs, options: two)
    let run = Task { try await delivery.run(untilCaughtUpWith: nil) }
    await sink.untilDeliveries(1)
    #expect(await delivery.waitForProgress { $0.batchesInFlight == 1 && $0.activity == .sending })
    sink.release()
    #expect(try await outcome(of: run).batches == 3)
    #expect(sink.attempts == [.zero..<Offset(2), Offset(2)..<Offset(4), Offset(4)..<Offset(6)])
  }

  @Test
  func `in trouble begins no new batch, waits for what the destination asked, and sends one as a probe`() async throws {
    let rig = DeliveryRig(records: 20)
    let busy = ScriptedSink.Step.answer(.retry(reason: "429", after: .seconds(30)))
    let sink = ScriptedSink(script: [busy, .acceptWhenReleased])
    let options = DeliveryOptions(maxInFlight: 2, circuit: CircuitPolicy(failures: 1, drain: nil))
    let (delivery, run) = rig.delivery(to: sink, policy: pairs, options: options).started()
    let due = await rig.clock.sleeper()
    #expect(due == MonotonicInstant(sinceStart: .seconds(30)) && sink.attempts.count <= 2)
    let began = rig.cursor.state.inFlight.count
    sink.release()
    #expect(await delivery.waitForProgress { $0.circuit == .open && $0.activity == .backingOff })
    #expect(rig.cursor.state.inFlight.count == began)
    rig.clock.advance(to: due)
    #expect(await rig.cursor.wait { $0.committed == Offset(20) })
    #expect(await delivery.progress.circuit == .closed)
    try await stop(delivery, run)
    #expect(sink.attempts.count == 11)
  }

  @Test func `stopped, waits for all that is in flight, commits it, and begins nothing`() async throws {
    let rig = DeliveryRig(records: 20)
    let sink = ScriptedSink(last: .acceptWhenReleased)
    let (delivery, run) = rig.delivery(to: sink, policy: pairs, options: two).started()
    await sink.untilDeliveries(2)
    delivery.stop()
    sink.release()
    try await outcome(of: run)
    #expect(rig.cursor.state.committed == Offset(4) && rig.cursor.state.inFlight.isEmpty && sink.attempts.count == 2)
  }

  @Test func `killed with two in flight, finishes both first, unchanged, under another configuration`() async throws {
    let rig = DeliveryRig(records: 10)
    let destination = RecordingDestination()
    let hung = ScriptedSink(destination, script: [.hang, .loseAnswer], last: .hang)
    let (_, run) = rig.delivery(to: hung, policy: pairs, options: two).started()
    await hung.untilDeliveries(2)
    try await kill(run)
    let open = rig.cursor.state.inFlight.map(\.intent)
    #expect(open.count == 2)
    let changed = ScriptedSink(destination, lineEnding: "\r\n")
    _ = try await rig.delivery(to: changed, policy: BatchPolicy(maxRecords: 5)).run(untilCaughtUpWith: nil)
    #expect(changed.attempts.prefix(2) == [.zero..<Offset(2), Offset(2)..<Offset(4)])
    for intent in open {
      let arrivals = destination.arrivals.filter { $0.id == intent.id }
      #expect(!arrivals.isEmpty && arrivals.allSatisfy { $0.plan == intent.plan && $0.bytes == arrivals[0].bytes })
    }
    #expect(rig.cursor.state.committed == Offset(10))
  }

  @Test func `fenced, it drops what is in flight`() async throws {
    let rig = DeliveryRig(records: 8)
    let sink = ScriptedSink(script: [.hang, .acceptWhenReleased])
    let (_, run) = rig.delivery(to: sink, policy: pairs, options: two).started()
    await sink.untilDeliveries(2)
    _ = rig.cursor.acquire()
    sink.release()
    let failure = await #expect(throws: DeliveryFailure.self) { try await outcome(of: run) }
    #expect(failure?.trouble.kind == .fenced)
  }

  @Test func `a batch that is rejected while another is in flight is split; the other is not touched`() async throws {
    let rig = DeliveryRig(records: 12)
    let dead = InMemoryDeadLetters()
    let sink = ScriptedSink(faults: .init(rejects: [Offset(1), Offset(5), Offset(6)]))
    _ = try await rig.delivery(
      to: sink, policy: BatchPolicy(maxRecords: 4), options: DeliveryOptions(maxInFlight: 3), deadLetters: dead.box()
    ).run(untilCaughtUpWith: nil)
    #expect(dead.letters.map(\.offset.rawValue) == [1, 5, 6])
    let (distinct, arrivals) = (sink.destination.distinct, sink.destination.arrivals)
    let arrived = distinct.flatMap { Array($0.range.lowerBound.rawValue..<$0.range.upperBound.rawValue) }
    #expect(arrived.sorted() == [0, 2, 3, 4, 7, 8, 9, 10, 11] && arrivals.count == distinct.count)
    #expect(rig.cursor.state.committed == Offset(12) && rig.cursor.state.consecutiveDeadLetters == 0)
  }

  @Test func `a rate limit spaces the attempts, and after an outage the backlog comes slowly at first`() async throws {
    let rig = DeliveryRig(records: 6)
    let options = DeliveryOptions(rate: DeliveryRate(recordsPerSecond: 4))
    let (delivery, run) = rig.delivery(to: ScriptedSink(), policy: pairs, options: options).started()
    for wait in [0.5, 1.0] {
      let due = await rig.clock.sleeper()
      #expect(due == MonotonicInstant(sinceStart: .seconds(wait)))
      #expect(await delivery.progress.activity == .pacing)
      rig.clock.advance(to: due)
    }
    #expect(await rig.cursor.wait { $0.committed == Offset(6) })
    try await stop(delivery, run)

    let down = DeliveryRig(records: 8)
    let sink = ScriptedSink(script: [.answer(.refused(reason: "401"))])
    let drain = DeliveryOptions(circuit: CircuitPolicy(drain: 0.1, doubling: .seconds(10), full: 0.4))
    let (slow, second) = down.delivery(
      to: sink, policy: pairs, retry: RetryPolicy(refusedWait: .seconds(60)), options: drain
    ).started()
    // The probe at 60 s; its success allows the next at once, that one the next after 10 s; by then at twice the rate.
    for moment in [60.0, 70, 75] {
      let due = await down.clock.sleeper()
      #expect(due == MonotonicInstant(sinceStart: .seconds(moment)))
      down.clock.advance(to: due)
    }
    #expect(await down.cursor.wait { $0.committed == Offset(8) })
    try await stop(slow, second)
  }
}
