import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@testable import PenstockSinks

@Suite("A verification of an export", .timeLimit(.minutes(1))) struct RetryingExportStoreTests {
  /// Three objects of four records, written while nothing goes wrong.
  private func exported(_ bucket: BucketInMemory) async throws {
    let source = InMemorySource(logID: logID)
    for number in 0..<12 { source.append(#"{"n":\#(number)}"#) }
    let cursor = InMemoryCursor(named: "archive", of: source)
    _ = try await Delivery(
      from: cursor.acquire(), source: source, to: try S3Sink(.acme(), transport: bucket),
      policy: BatchPolicy(maxRecords: 4)
    ).run(untilCaughtUpWith: nil)
  }

  private func verify(
    _ bucket: BucketInMemory, retry: RetryPolicy = RetryPolicy(first: .zero, cap: .zero, maxRetryAfter: .zero),
    failures: AsyncCondition<Int>
  ) async throws -> ExportReport {
    let store = try S3ExportStore(.acme(), transport: bucket)
    let retrying = RetryingExportStore(
      store, retry: retry, random: { 0 }, onRetry: { _ in failures.update { $0 += 1 } })
    return try await ExportVerifier(store: retrying, logID: logID, cursor: "archive")
      .verify(.content, expecting: 0..<12)
  }

  @Test(arguments: [BucketInMemory.Fault.slowDown, .internalError, .tooMany, .dropped, .lost])
  func `asks again after 503, 500, 429 and broken connections, at every call, and finds what it finds without them`(
    fault: BucketInMemory.Fault
  ) async throws {
    let failing = Mutex<Set<String>?>(nil)
    // Each call fails the first time it is made.
    let bucket = BucketInMemory { _, call in
      failing.withLock { seen in
        guard let known = seen, !known.contains(call) else { return nil }
        seen?.insert(call)
        return fault
      }
    }
    try await exported(bucket)
    failing.withLock { $0 = [] }
    let failures = AsyncCondition(0)
    let report = try await verify(bucket, failures: failures)
    #expect(report.isSound && report.objects == 3 && report.rows == 12, "\(report.lines)")
    #expect(failures.value >= 3)
    // What is wrong is found all the same.
    bucket[try #require(bucket.keys(under: "").first { !$0.contains("_penstock") })] = nil
    failing.withLock { $0 = [] }
    #expect(try await verify(bucket, failures: failures).findings.contains { $0.kind == .missingObject })
  }

  @Test
  func `gives up where failures last longer than they may, and at once where asking again is of no use`() async throws {
    let failing = Mutex(false)
    let bucket = BucketInMemory { _, _ in failing.withLock { $0 } ? .slowDown : nil }
    try await exported(bucket)
    failing.withLock { $0 = true }
    let failures = AsyncCondition(0)
    var retry = RetryPolicy(first: .seconds(10), cap: .seconds(10))
    retry.giveUpAfter = .zero
    let store = RetryingExportStore(
      try S3ExportStore(.acme(), transport: bucket), retry: retry, random: { .max },
      onRetry: { _ in failures.update { $0 += 1 } })
    let error = await #expect(throws: ExportStoreError.self) { try await store.list(prefix: "") }
    #expect(error?.isTemporary == true && failures.value == 0)
    let refusing = RetryingExportStore(
      try S3ExportStore(.acme(), transport: ScriptedTransport(.answer(403))), retry: RetryPolicy())
    let refusal = await #expect(throws: ExportStoreError.self) { try await refusing.list(prefix: "") }
    #expect(refusal?.isTemporary == false)
  }

  @Test func `waits as long as the store asks, and twice as long after each failure`() async throws {
    let clock = ManualDeliveryClock()
    let transport = ScriptedTransport(
      .answer(503), .answer(503), .answer(503, [(name: "Retry-After", value: "90")]), .answer(404))
    let store = RetryingExportStore(
      try S3ExportStore(.acme(), transport: transport), retry: RetryPolicy(first: .seconds(2)), clock: clock,
      random: { 1 << 63 })
    let asking = Task { try await store.facts(of: "k") }
    var waits: [Duration] = []
    for _ in 0..<3 {
      let due = await clock.sleeper()
      waits.append(due - clock.now())
      clock.advance(to: due)
    }
    #expect(try await asking.value == nil)
    #expect(waits == [.seconds(1), .seconds(2), .seconds(90)])
  }
}
