import Logging
import PenstockDelivery
import PenstockEvents
@testable import PenstockLog
import PenstockSupport
import PenstockTestKit
import Testing

@testable import PenstockServer

@Suite("The status of a log of many segments", .timeLimit(.minutes(1))) struct SegmentSizeCacheTests {
  static func rows(_ count: Int) -> RecordBatch {
    var (batch, random) = (RecordBatch(), SplitMix64(seed: 7))
    for _ in 0..<count {
      batch.append(String((0..<1000).map { _ in Character(UnicodeScalar(UInt8(random.next() % 64 + 48))) }))
    }
    return batch
  }

  static func admin(
    _ log: Log, keyed: IdempotentAppender, metrics: ServiceMetrics = ServiceMetrics(),
    storage: @escaping @Sendable (String) -> StorageState = { .of($0) }
  ) -> AdminAPI {
    AdminAPI(
      log,
      AdminAPI.Runners(
        destinations: [], replays: ReplayRunner(log, logger: ConnectionTimeoutTests.quiet),
        redeliveries: RedeliveryRunner(logger: ConnectionTimeoutTests.quiet)),
      ingest: Ingest(log, keyed: keyed, limits: ServiceLimits()), metrics: metrics,
      configuration: OpeningConfiguration(
        path: "/log", log: KeyedLife.configuration(), service: ServiceConfiguration()),
      environment: AdminAPI.Environment(storage: storage))
  }

  static func bytesOnDisk(_ admin: AdminAPI) async throws -> Int {
    let text = await admin.state().text
    let digits = try #require(text.firstMatch(of: /"bytesOnDisk":(\d+)/)?.1)
    return try #require(Int(digits))
  }

  @Test func `each look asks the newest segment's size alone, and stays right after every change`() async throws {
    let (simulated, sizes) = (SimulatedFileSystem(), AsyncCondition(0))
    let disk = HookedFileSystem(simulated)
    let environment = ConnectionTimeoutTests.environment(disk)
    let log = try await Log.open(at: "/log", configuration: KeyedLife.configuration(), environment: environment)
    for _ in 0..<100 { try await log.append(Self.rows(40)) }
    let keyed = try await IdempotentAppender.open(
      log, journal: "/keys", options: IdempotencyOptions(capacity: 100, window: 3600, producers: 1),
      environment: environment)
    let admin = Self.admin(log, keyed: keyed)
    disk.onCall { verb, path in
      if verb == .size, path.hasPrefix("/log/data/"), path.hasSuffix(".seg") { sizes.update { $0 += 1 } }
    }
    /// What a look says, and how many files it asks.
    func look() async throws -> (bytes: Int, asked: Int) {
      sizes.update { $0 = 0 }
      return (try await Self.bytesOnDisk(admin), sizes.value)
    }
    func onDisk() -> Int { log.view.set.segments.reduce(0) { $0 + (simulated.contents($1.path)?.count ?? 0) } }
    let count = log.view.set.segments.count
    try #require(count > 30)
    let first = try await look()
    #expect(first.bytes == onDisk() && first.asked == count)
    for _ in 0..<3 {
      let again = try await look()
      #expect(again.bytes == first.bytes && again.asked == 1, "\(again.asked) files were asked")
    }
    // The one that was the newest has another size once it is left.
    while log.view.set.segments.count == count { try await log.append(Self.rows(40)) }
    let rolled = try await look()
    #expect(rolled.bytes == onDisk() && rolled.asked == 2)
    // As sealing does it: another file under the same name.
    let sealed = log.view.set.segments[3]
    simulated.install("/log/data/sealed.tmp", [UInt8](repeating: 1, count: 5000))
    #expect(
      try log.view.replaceFile(of: sealed.name) { () throws(FileSystemError) in
        try disk.replace(sealed.path, with: "/log/data/sealed.tmp")
      })
    let replaced = try await look()
    #expect(replaced.bytes == onDisk() && replaced.bytes < rolled.bytes && replaced.asked == 2)
    log.view.trim(to: log.view.set.segments[5].name)
    let trimmed = try await look()
    #expect(trimmed.bytes == onDisk() && trimmed.bytes < replaced.bytes && trimmed.asked == 1)
    disk.onCall(nil)
    try await log.close()
  }

  @Test func `another process, which does not hear of sealing, asks each time`() async throws {
    let simulated = SimulatedFileSystem()
    let environment = ConnectionTimeoutTests.environment(simulated)
    let log = try await Log.open(at: "/log", configuration: KeyedLife.configuration(), environment: environment)
    for _ in 0..<10 { try await log.append(Self.rows(40)) }
    let reader = try await LogReader.open(at: "/log", environment: environment)
    let set = reader.view.set
    let segment = try #require(set.segments.first)
    let before = try reader.view.fileBytes(of: segment, in: set)
    simulated.install("/log/data/sealed.tmp", [UInt8](repeating: 1, count: 5000))
    try simulated.replace(segment.path, with: "/log/data/sealed.tmp")
    #expect(try reader.view.fileBytes(of: segment, in: set) == 5000 && before > 5000)
    reader.close()
    try await log.close()
  }
}
