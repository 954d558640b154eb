import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@Suite("What deliveries are tested with", .timeLimit(.minutes(3))) struct InMemoryTests {
  @Test func `a source gives as many records as fit, at least one, and none at its end`() async throws {
    let source = InMemorySource()
    source.append("aa", "bb")
    source.append("cc", "dddddd")
    func range(_ first: UInt64, _ records: Int, _ bytes: Int) async throws -> Range<UInt64>? {
      let batch = try await source.records(from: Offset(first), maxRecords: records, maxBytes: bytes)
      return batch.map { $0.first.rawValue..<$0.end.rawValue }
    }
    #expect(try await range(0, 9, 100) == 0..<4)
    #expect(try await range(1, 2, 100) == 1..<3)
    #expect(try await range(0, 9, 5) == 0..<2)
    #expect(try await range(0, 9, 6) == 0..<3)
    #expect(try await range(3, 9, 1) == 3..<4)
    #expect(try await range(4, 9, 9) == nil)
    await #expect(throws: LogError.self) { try await range(5, 1, 1) }
    await #expect(throws: LogError.self) { try await source.records(in: Offset(3)..<Offset(5)) }
  }

  @Test func `a wait for records ends by a record, a timeout, a close or a cancellation`() async throws {
    let clock = ManualDeliveryClock()
    let source = InMemorySource(clock: clock)
    func wait(_ timeout: Duration?) async -> Task<Bool, Never> {
      let task = Task { await source.waitForRecords(past: source.end, timeout: timeout) }
      await source.untilSomebodyWaits(past: source.end)
      return task
    }
    let timed = await wait(.seconds(3))
    clock.advance(to: await clock.sleeper())
    #expect(await timed.value == false)
    let cancelled = await wait(nil)
    cancelled.cancel()
    #expect(await cancelled.value == false)
    let waiting = await wait(nil)
    source.append("a")
    #expect(await waiting.value == true)
    let last = await wait(nil)
    source.close()
    #expect(await last.value == false)
  }

  @Test func `a lease is fenced by the next one`() async throws {
    let source = InMemorySource()
    source.append("a")
    let cursor = InMemoryCursor(of: source)
    let old = cursor.acquire()
    let new = cursor.acquire()
    let intent = DeliveryModel(mode: .service).intent(.zero..<Offset(1))
    let error = await #expect(throws: LogError.self) { try await old.begin(intent) }
    #expect(error?.code == .fenced && cursor.history.isEmpty)
    try await new.begin(intent)
    _ = try await new.complete(intent.id, receipt: "")
    #expect(cursor.history == [.begun(intent), .completed(intent.id)] && cursor.state.committed == Offset(1))
  }

  @Test func `a watched value wakes exactly those whose condition holds`() async throws {
    let number = AsyncCondition(0)
    let two = Task { await number.wait { $0 >= 2 } }
    let never = Task { await number.wait { $0 >= 100 } }
    number.update { $0 = 2 }
    #expect(await two.value == true)
    never.cancel()
    #expect(await never.value == false)
  }

  @Test func `a dead process has no more effect`() async throws {
    let source = InMemorySource()
    source.append("a")
    let cursor = InMemoryCursor(of: source)
    let crash = CrashSwitch(at: 1)
    let lease = cursor.acquire(crash: crash)
    let intent = DeliveryModel(mode: .service).intent(.zero..<Offset(1))
    let call = Task { try await lease.begin(intent) }
    #expect(await crash.untilDead())
    call.cancel()
    await #expect(throws: LogError.self) { try await call.value }
    #expect(cursor.state.inFlight.isEmpty && crash.steps == ["before begin"])
  }
}
