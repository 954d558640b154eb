import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// The crash simulation for users' consumers and sinks: it accepts correct ones, and finds the fault of the others.
@Suite("Crash simulation", .timeLimit(.minutes(5)))
struct CrashSimulationTests {
  private let simulation = CrashSimulation(seed: Setting.number("PENSTOCK_SEED") ?? 1, recordsPerProcess: 2, pairs: 10)
  private let limits = Cursor.Limits(records: 2)

  /// What a consumer or a sink breaks.
  private func finding(_ body: () async throws -> Void) async -> CrashFinding? {
    do {
      try await body()
      return nil
    } catch {
      return error as? CrashFinding
    }
  }

  private func finding(
    of consumer: @escaping @Sendable (Log, CrashSimulation.Ledger) async throws -> Void
  ) async throws -> CrashFinding {
    try #require(await finding { try await simulation.consumer(consumer) })
  }

  @Test func `lets a consumer pass that does its work under a key and then commits`() async throws {
    let report = try await simulation.consumer { [limits] log, ledger in
      let cursor = try await log.cursor(named: "mailer")
      while let batch = try await cursor.next(upTo: limits) {
        for number in 0..<batch.count { try await ledger.put(batch.first + number, key: "\(batch.first + number)") }
        try await cursor.commit(batch)
      }
    }
    print("crash simulation: \(report)")
    #expect(report.crashPoints > 10 && report.crashes > 3 * report.crashPoints)
  }

  @Test func `lets a consumer pass that keeps its place in the same transaction as its work`() async throws {
    try await simulation.consumer { [limits] log, ledger in
      let cursor = try await log.cursor(named: "importer")
      if let position = ledger.position, cursor.state.inFlight.isEmpty { try await cursor.seek(to: .offset(position)) }
      while let batch = try await cursor.next(upTo: limits) {
        if batch.end > ledger.position ?? .zero { try await ledger.store(batch) }
        try await cursor.commit(batch)
      }
    }
  }

  @Test func `finds a consumer that commits before it has done its work, with one record`() async throws {
    let finding = try await finding(of: { log, ledger in
      let cursor = try await log.cursor(named: "mailer")
      while let batch = try await cursor.next() {
        try await cursor.commit(batch)
        try await ledger.perform(batch)
      }
    })
    print(finding)
    #expect(finding.violation.invariant == .deliveryIsExact)
    #expect(finding.violation.message.contains("has passed record 0 and not processed it"))
    // As few records as it takes, and the place that gives it away.
    #expect(finding.trace.count < 12 && finding.trace.first == "process 1, of a log with 1 record:")
    #expect(finding.trace.last == "cursor mailer is found at 1")
  }

  @Test func `finds a consumer that does its work again after a crash, without a key`() async throws {
    let finding = try await finding(of: { log, ledger in
      let cursor = try await log.cursor(named: "mailer")
      while let batch = try await cursor.next() {
        try await ledger.perform(batch)
        try await cursor.commit(batch)
      }
    })
    #expect(finding.violation.message.contains("has processed record 0 twice"))
  }

  @Test func `finds a consumer whose keys depend on how records are batched`() async throws {
    let finding = try await finding(of: { log, ledger in
      var count = 0
      let cursor = try await log.cursor(named: "mailer")
      while let batch = try await cursor.next() {
        for number in 0..<batch.count {
          count += 1
          try await ledger.put(batch.first + number, key: "\(count)")
        }
        try await cursor.commit(batch)
      }
    })
    #expect(finding.violation.message.contains("key"))
  }

  @Test func `finds a consumer that fails, and one that never comes to the end`() async throws {
    struct Broken: Error {}
    let failing = await finding { try await simulation.consumer { _, _ in throw Broken() } }
    #expect(failing?.violation.invariant == .honestWorkSucceeds)
    var hasty = simulation
    hasty.patience = .milliseconds(50)
    let waiting = await finding {
      try await hasty.consumer { log, _ in
        let cursor = try await log.cursor(named: "mailer")
        while try await cursor.next() != nil { try await Task.sleep(for: .seconds(60)) }
      }
    }
    #expect(waiting?.violation.message.contains("did not come to the log's end") == true)
  }

  // MARK: - Sinks

  /// A table with a row for each record, as a user's sink writes it.
  private final class Rows: Sendable {
    private let state = Mutex((rows: [[UInt8]](), ids: Set<String>()))
    var rows: [[UInt8]] { state.withLock { $0.rows } }

    /// In one transaction, unless the id is there already.
    func insert(_ rows: [[UInt8]], id: String?) {
      state.withLock { state in
        if let id, !state.ids.insert(id).inserted { return }
        state.rows += rows
      }
    }
  }

  private struct RowSink: Sink {
    let table: Rows
    var dedupes = true
    var takesHalf = false
    var description: String { "table" }
    func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { [1] }
    func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
      var content: [UInt8] = []
      batch.forEachRecord { content += Array($0.bytes) + [10] }
      return PreparedBody(content: content, eventCount: batch.count)
    }
    func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
      let rows = delivery.body.bytes.split(separator: 10).map(Array.init)
      table.insert(takesHalf ? Array(rows.dropLast()) : rows, id: dedupes ? delivery.intent.id.rawValue : nil)
      return .delivered(receipt: "\(rows.count) rows")
    }
  }

  private func destination(_ change: @Sendable (inout RowSink) -> Void = { _ in }) -> CrashSimulation.Destination {
    let table = Rows()
    var sink = RowSink(table: table)
    change(&sink)
    return CrashSimulation.Destination(makeSink: { [sink] in sink }, contents: { table.rows })
  }

  @Test func `lets a sink pass that takes an id once`() async throws {
    let report = try await simulation.sink { destination() }
    #expect(report.crashPoints > 10 && report.crashes > 3 * report.crashPoints)
  }

  @Test("finds a sink that takes a delivery again when its answer was lost, and one that loses rows")
  func brokenSinks() async throws {
    let twice = await finding { try await simulation.sink { destination { $0.dedupes = false } } }
    #expect(twice?.violation.message.contains("at the destination 2 times") == true, "\(String(describing: twice))")
    let half = await finding { try await simulation.sink { destination { $0.takesHalf = true } } }
    #expect(half?.violation.message.contains("is not at the destination") == true, "\(String(describing: half))")
  }
}
