import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("A delivery", .timeLimit(.minutes(3))) struct DeliveryTests {
  private let sink = ScriptedSink()
  private let notices = NoticeLog()
  private let destination = RecordingDestination()
  private let rig = DeliveryRig(records: 3)

  @Test func `until caught up delivers every record in order, in full batches and a partial one`() async throws {
    let rig = DeliveryRig(records: 8)
    let delivery = rig.delivery(to: sink, observer: notices.observer)
    let report = try await delivery.run(untilCaughtUpWith: nil)
    #expect(report.ending == .caughtUp && report.first == .zero && report.end == Offset(8))
    #expect(report.batches == 3 && report.records == 8 && report.bytes == 64)
    #expect(report.attempts == 3 && report.retries == 0)
    #expect(sink.destination.content == rig.content && sink.destination.violations.isEmpty)
    #expect(notices.closeReasons == [.records, .records, .caughtUp])
    #expect(sink.closings == 1 && sink.renderings == 3)
    let progress = await delivery.progress
    #expect(progress.activity == .ended && progress.committed == Offset(8) && progress.lagRecords == 0)
  }

  @Test func `run again with nothing new, it sends nothing`() async throws {
    let rig = DeliveryRig(records: 4)
    _ = try await rig.delivery(to: ScriptedSink(destination)).run(untilCaughtUpWith: nil)
    let report = try await rig.delivery(to: ScriptedSink(destination)).run(untilCaughtUpWith: nil)
    #expect(report.attempts == 0 && report.ending == .caughtUp && destination.arrivals.count == 2)
  }

  @Test func `up to an end takes nothing from beyond it, and waits for an end that is not there yet`() async throws {
    let rig = DeliveryRig(records: 5)
    let first = try await rig.delivery(to: sink).run(untilCaughtUpWith: Offset(2))
    #expect(first.end == Offset(2) && sink.destination.arrivals.map(\.range) == [.zero..<Offset(2)])
    let delivery = rig.delivery(to: sink)
    let run = Task { try await delivery.run(untilCaughtUpWith: Offset(6)) }
    await rig.source.untilSomebodyWaits(past: Offset(5))
    rig.source.append("record 5", "record 6")
    #expect(try await outcome(of: run).end == Offset(6))
  }

  @Test func `closes a batch before it passes the limit of bytes, and gives a large record its own`() async throws {
    let rig = DeliveryRig()
    rig.source.append("aaaa", "bbbb", "cccc")
    rig.source.append("a large record, larger than the limit", "dd")
    _ = try await rig.delivery(to: sink, policy: BatchPolicy(maxRecords: 100, maxBytes: 9), observer: notices.observer)
      .run(untilCaughtUpWith: nil)
    #expect(sink.destination.distinct.map { $0.range.lowerBound.rawValue } == [0, 2, 3, 4])
    #expect(notices.closeReasons == [.bytes, .bytes, .bytes, .caughtUp])
    #expect(sink.destination.content == rig.content)
  }

  @Test func `sends the same id and bytes again when the answer is lost, rendered once`() async throws {
    let sink = ScriptedSink(script: [.loseAnswer, .loseAnswer])
    let delivery = rig.delivery(to: sink, retry: RetryPolicy(first: .zero, cap: .zero))
    let report = try await delivery.run(untilCaughtUpWith: nil)
    #expect(report.attempts == 3 && report.retries == 2 && report.batches == 1)
    let arrivals = sink.destination.arrivals
    #expect(arrivals.map(\.attempt) == [1, 2, 3] && Set(arrivals.map(\.id)).count == 1)
    #expect(sink.destination.violations.isEmpty && sink.renderings == 1)
  }

  @Test(arguments: [
    (DeliveryOutcome.refused(reason: "401"), DeliveryTrouble.Kind.refused),
    (.rejected(reason: "422"), .rejected), (.conflict(reason: "another writer"), .conflict),
  ])
  func `until caught up fails, with the range and the reason, where an operator is needed`(
    outcome: DeliveryOutcome, kind: DeliveryTrouble.Kind
  ) async throws {
    let rig = DeliveryRig(records: 5)
    let sink = ScriptedSink(script: [.accept, .answer(outcome)])
    let delivery = rig.delivery(to: sink)
    let failure = await #expect(throws: DeliveryFailure.self) { try await delivery.run(untilCaughtUpWith: nil) }
    #expect(failure?.trouble.kind == kind && failure?.cursor == "billing")
    #expect(failure?.range == Offset(3)..<Offset(5))
    #expect(rig.cursor.state.committed == Offset(3) && rig.cursor.state.inFlight.count == 1)
    #expect(sink.closings == 1)
  }

  @Test func `as a service it halts on a rejected batch, skips nothing, and continues when asked to`() async throws {
    let rig = DeliveryRig(records: 4)
    let sink = ScriptedSink(script: [.answer(.rejected(reason: "422"))])
    let (delivery, run) = rig.delivery(to: sink, policy: BatchPolicy(maxRecords: 2)).started()
    #expect(await delivery.waitForProgress { $0.activity == .halted })
    rig.clock.advance(by: .seconds(1_000_000))
    let progress = await delivery.progress
    #expect(progress.trouble == DeliveryTrouble(.rejected, "422") && progress.inFlight == .zero..<Offset(2))
    #expect(progress.lagRecords == 4 && progress.nextTry == nil && rig.clock.sleepers.isEmpty)
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(4) })
    try await stop(delivery, run)
    #expect(sink.destination.content == rig.content && sink.destination.arrivals.map(\.attempt) == [2, 1])
  }

  @Test func `a later holder of the cursor ends it with an error, and what it sent is sent again equal`() async throws {
    let sink = ScriptedSink(destination, script: [.acceptWhenReleased])
    let (_, run) = rig.delivery(to: sink).started()
    await sink.untilDeliveries(1)
    _ = try await rig.delivery(to: ScriptedSink(destination)).run(untilCaughtUpWith: nil)
    sink.release()
    let failure = await #expect(throws: DeliveryFailure.self) { try await outcome(of: run) }
    #expect(failure?.trouble.kind == .fenced && (failure?.cause as? LogError)?.code == .fenced)
    #expect(destination.arrivals.count == 2 && destination.violations.isEmpty && destination.content == rig.content)
  }

  @Test func `while one destination hangs, another one continues and catches up`() async throws {
    let rig = DeliveryRig(records: 9)
    let hung = ScriptedSink(last: .hang, description: "hung")
    let (stuck, run) = rig.delivery(to: hung).started()
    await hung.untilDeliveries(1)
    let other = InMemoryCursor(named: "other", of: rig.source)
    let healthy = ScriptedSink()
    let report = try await rig.delivery(to: healthy, cursor: other).run(untilCaughtUpWith: nil)
    #expect(report.records == 9 && healthy.destination.content == rig.content)
    let progress = await stuck.progress
    #expect(progress.activity == .sending && progress.committed == .zero && progress.lagRecords == 9)
    try await kill(run)
    #expect(rig.cursor.state.inFlight.count == 1 && hung.destination.arrivals.isEmpty)
  }

  @Test func `a full disk under the cursor delays it; a failed disk ends it`() async throws {
    let rig = DeliveryRig(records: 6)
    rig.cursor.failNext(.begin, with: LogError(.noSpace, "full"))
    rig.cursor.failNext(.complete, with: LogError(.noSpace, "full"), LogError(.noSpace, "full"))
    let retry = RetryPolicy(first: .zero, cap: .zero)
    _ = try await rig.delivery(to: sink, retry: retry).run(untilCaughtUpWith: Offset(3))
    #expect(sink.destination.arrivals.count == 1)
    rig.cursor.failNext(.begin, with: LogError(.poisoned, "a sync failed"))
    let delivery = rig.delivery(to: sink, retry: retry)
    let failure = await #expect(throws: DeliveryFailure.self) { try await delivery.run() }
    #expect(failure?.trouble.kind == .cursorFailed && sink.destination.arrivals.count == 1)
  }

  @Test func `records that the log has lost halt it; they are not skipped`() async throws {
    rig.source.failReads(with: LogError(.gap, "records 0..<3 are lost"))
    let (delivery, run) = rig.delivery(to: ScriptedSink()).started()
    #expect(await delivery.waitForProgress { $0.activity == .halted && $0.trouble?.kind == .unreadable })
    rig.source.failReads(with: nil)
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    try await stop(delivery, run)
  }

  @Test func `a cursor that retention has passed halts it until that is acknowledged`() async throws {
    let rig = DeliveryRig(records: 9)
    rig.cursor.pass(upTo: Offset(4))
    let (delivery, run) = rig.delivery(to: sink).started()
    #expect(await delivery.waitForProgress { $0.activity == .halted && $0.trouble?.kind == .unreadable })
    #expect(sink.destination.arrivals.isEmpty)
    rig.cursor.acknowledgeLoss()
    delivery.retryNow()
    #expect(await rig.cursor.wait { $0.committed == Offset(7) })
    #expect(sink.destination.arrivals.count == 1)
    try await stop(delivery, run)
  }

  @Test func `a batch in flight that retention has cut is not sent again; its commit gets the gap`() async throws {
    let rig = DeliveryRig(records: 9)
    let sink = ScriptedSink(last: .hang)
    let (_, run) = rig.delivery(to: sink).started()
    await sink.untilDeliveries(1)
    try await kill(run)
    // Its intent is open; now its first record goes.
    rig.cursor.pass(upTo: Offset(1))
    #expect(rig.cursor.state.lost == .zero..<Offset(3))
    let next = ScriptedSink()
    let failure = await #expect(throws: DeliveryFailure.self) {
      try await rig.delivery(to: next).run(untilCaughtUpWith: nil)
    }
    #expect(failure?.trouble.kind == .unreadable && (failure?.cause as? LogError)?.gap?.end == Offset(3))
    rig.cursor.acknowledgeLoss()
    #expect(try await rig.delivery(to: next).run(untilCaughtUpWith: nil).first == Offset(3))
    #expect(next.destination.arrivals.count == 2)
  }

  @Test func `ends when the log is closed`() async throws {
    let rig = DeliveryRig()
    let delivery = rig.delivery(to: ScriptedSink())
    let run = Task { try await delivery.run(untilCaughtUpWith: Offset(1)) }
    await rig.source.untilSomebodyWaits(past: .zero)
    rig.source.close()
    #expect(try await outcome(of: run).ending == .sourceClosed)
  }

  @Test func `runs once`() async throws {
    let delivery = DeliveryRig(records: 1).delivery(to: ScriptedSink())
    _ = try await delivery.run(untilCaughtUpWith: nil)
    await #expect(throws: DeliveryFailure.self) { try await delivery.run() }
  }
}
