import PenstockDelivery
import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Synchronization
import Testing

/// A sink that states its own policy and limits, and says of a batch that is too long what it is told to say.
private struct StatingSink: Sink {
  var batchPolicy = BatchPolicy()
  var batchLimits = BatchLimits()
  /// Of a batch with more records than this nothing can be made; nil: of every batch something can.
  var canRender: Int?
  /// Whether that error names the batch's first record, as if it were to blame.
  var blamesFirst = false
  let sent = Recorder()

  final class Recorder: Sendable {
    private let ranges = Mutex<[Range<Offset>]>([])
    var counts: [Int] { ranges.withLock { $0.map { $0.upperBound - $0.lowerBound } } }
    func add(_ range: Range<Offset>) { ranges.withLock { $0.append(range) } }
  }

  var description: String { "stating" }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { [1] }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    if let canRender, batch.count > canRender {
      throw SinkError("the batch is too long", offset: blamesFirst ? batch.first : nil)
    }
    var content: [UInt8] = []
    batch.forEachRecord { content += $0.bytes }
    return PreparedBody(content: content, eventCount: batch.count)
  }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    sent.add(delivery.intent.first..<delivery.intent.end)
    return .delivered(receipt: "ok")
  }
}

@Suite("What a sink says of its batches", .timeLimit(.minutes(3))) struct BatchLimitsTests {
  private let dead = InMemoryDeadLetters()
  private func delivery(
    _ rig: DeliveryRig, to sink: StatingSink, policy: BatchPolicy? = nil, deadLetters: InMemoryDeadLetters? = nil
  ) -> Delivery {
    Delivery(
      from: rig.cursor.acquire(), source: rig.source, to: sink, options: DeliveryOptions(policy: policy),
      deadLetters: deadLetters?.box(), environment: rig.environment())
  }

  @Test func `is what a delivery does that is given no policy`() async throws {
    let rig = DeliveryRig(records: 10)
    let stated = BatchPolicy(maxRecords: 4, maxBytes: 1000, maxWait: .seconds(300), boundary: .seconds(3600))
    let sink = StatingSink(batchPolicy: stated)
    let delivery = delivery(rig, to: sink)
    #expect(delivery.policy == stated)
    _ = try await delivery.run(untilCaughtUpWith: nil)
    #expect(sink.sent.counts == [4, 4, 2])
  }

  @Test func `gives way to the policy of the delivery, but not where the sink cannot do it`() async throws {
    let rig = DeliveryRig(records: 10)
    let sink = StatingSink(batchPolicy: BatchPolicy(maxRecords: 4), batchLimits: BatchLimits(maxRecords: 5))
    #expect(delivery(rig, to: sink, policy: BatchPolicy(maxRecords: 2)).policy.maxRecords == 2)
    let delivery = delivery(rig, to: sink, policy: BatchPolicy(maxRecords: 9, maxWait: .seconds(1)))
    #expect(delivery.policy == BatchPolicy(maxRecords: 5, maxWait: .seconds(1)))
    _ = try await delivery.run(untilCaughtUpWith: nil)
    #expect(sink.sent.counts == [5, 5])
    let bytes = StatingSink(batchLimits: BatchLimits(maxBytes: 20))
    #expect(self.delivery(rig, to: bytes, policy: BatchPolicy(maxBytes: 50)).policy.maxBytes == 20)
    // A limit below one is no limit that could be kept.
    #expect(BatchLimits(maxRecords: 0, maxBytes: -1) == BatchLimits(maxRecords: 1, maxBytes: 1))
  }

  @Test func `holds for replays and redeliveries, too`() async throws {
    let rig = ReplayRig(records: 9)
    let sink = StatingSink(batchPolicy: BatchPolicy(maxRecords: 4))
    _ = try await rig.replay(rig.window(0, 9), to: sink, policy: nil).run()
    #expect(sink.sent.counts == [4, 4, 1])
    let single = StatingSink(batchLimits: BatchLimits(maxRecords: 1), canRender: 1, blamesFirst: true)
    _ = try await rig.replay(rig.window(0, 3), id: "single", to: single, policy: BatchPolicy()).run()
    #expect(single.sent.counts == [1, 1, 1])
  }

  @Test func `An error about a batch makes no record a dead letter, whichever record it names`() async throws {
    let rig = DeliveryRig(records: 10)
    let sink = StatingSink(canRender: 1, blamesFirst: true)
    let report = try await delivery(rig, to: sink, deadLetters: dead).run(untilCaughtUpWith: nil)
    #expect(report.deadLetters == 0 && dead.letters.isEmpty)
    #expect(sink.sent.counts == [Int](repeating: 1, count: 10) && rig.cursor.state.committed == Offset(10))
  }

  @Test func `An error about a batch that names no record halts the destination, and nothing is lost`() async throws {
    let rig = DeliveryRig(records: 10)
    let sink = StatingSink(canRender: 1)
    let failure = await #expect(throws: DeliveryFailure.self) {
      try await delivery(rig, to: sink, deadLetters: dead).run(untilCaughtUpWith: nil)
    }
    #expect(failure?.trouble.kind == .unrenderable && failure?.range == Offset(0)..<Offset(10))
    #expect(dead.letters.isEmpty && rig.cursor.state.committed == .zero && sink.sent.counts.isEmpty)
  }
}

@Suite("Mistakes that a program hears of at once", .timeLimit(.minutes(3))) struct DeliveryMisuseTests {
  @Test func `a cursor of one log with another log as the source is refused before anything is sent`() async throws {
    let disk = SimulatedFileSystem()
    let one = try await Log.open(at: "/one", environment: DeadLetterLogTests.environment(disk, salt: 1))
    let two = try await Log.open(at: "/two", environment: DeadLetterLogTests.environment(disk, salt: 2))
    for number in 0..<3 {
      try await one.append("one \(number)")
      try await two.append("two \(number)")
    }
    let sink = ScriptedSink()
    let cursor = try await one.cursor(named: "billing")
    func delivery(of log: any RecordSource) -> Delivery {
      Delivery(from: cursor, source: log, to: sink, environment: DeliveryEnvironment(logger: silent))
    }
    let failure = await #expect(throws: DeliveryFailure.self) {
      try await delivery(of: two).run(untilCaughtUpWith: nil)
    }
    #expect(failure?.trouble.kind == .wrongLog)
    #expect(
      failure?.trouble.message.contains(one.logID) == true && failure?.trouble.message.contains(two.logID) == true)
    await #expect(throws: DeliveryFailure.self) { try await delivery(of: two).run() }
    #expect(sink.attempts.isEmpty && sink.closings == 2 && cursor.state.committed == .zero)
    // The log itself, and a reader of it, are the same log.
    let reader = try await LogReader.open(at: "/one", environment: DeadLetterLogTests.environment(disk, salt: 3))
    #expect(try await delivery(of: reader).run(untilCaughtUpWith: nil).records == 3)
    reader.close()
    try await one.close()
    try await two.close()
  }

  @Test func `run() without another word returns a report, and not nothing`() async throws {
    let rig = DeliveryRig(records: 3)
    let delivery = rig.delivery(to: ScriptedSink())
    let run = Task {
      let report = try await delivery.run()
      return report.records
    }
    #expect(await rig.cursor.wait { $0.committed == Offset(3) })
    delivery.stop()
    #expect(try await outcome(of: run) == 3)
  }
}
