import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

/// A sink with one thing wrong.
struct FlawedSink: Sink {
  enum Flaw: CaseIterable {
    case emptyDescription, secretInDescription, longPlan, secretInPlan, refusesItsPlan, timeInContent, readsBlocks
    case ignoresPlan, constantDigest, shortDigest, tooManyEvents, refusesRepetition, neverDelivers, needsTheBeginning
    case forgetsItsSelection
  }

  let flaw: Flaw
  var lineEnding = "\n"
  private let calls = AsyncCondition(0)

  init(_ flaw: Flaw, lineEnding: String = "\n") {
    self.flaw = flaw
    self.lineEnding = lineEnding
  }

  var rule: SinkViolation.Rule {
    switch flaw {
    case .emptyDescription, .secretInDescription: .description
    case .longPlan, .secretInPlan, .forgetsItsSelection: .plan
    case .refusesRepetition, .neverDelivers: .delivery
    case .needsTheBeginning: .splitting
    default: .rendering
    }
  }

  var description: String {
    switch flaw {
    case .emptyDescription: ""
    case .secretInDescription: "to host with hunter2"
    default: "flawed"
    }
  }

  var selection: EventSelection {
    flaw == .forgetsItsSelection ? EventSelection(fields: FieldSelection(keeping: [])) : .all
  }

  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] {
    if flaw == .needsTheBeginning, outline.first == Offset(1) { throw SinkError("a batch begins at 0") }
    if flaw == .longPlan { return [UInt8](repeating: 1, count: Int(outline.cursor.count * 40)) }
    return Array((flaw == .secretInPlan ? "hunter2" : lineEnding).utf8)
  }

  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody {
    if flaw == .refusesItsPlan { throw SinkError("unknown") }
    var content: [UInt8] = []
    let ending = flaw == .ignoresPlan ? Array(lineEnding.utf8) : plan
    batch.forEachRecord { content += $0.bytes + ending }
    if flaw == .timeInContent { content.append(UInt8(countCall() & 0xff)) }
    if flaw == .readsBlocks { content.append(UInt8(batch.slices.count & 0xff)) }
    var body = PreparedBody(content: content, eventCount: batch.count)
    if flaw == .constantDigest { body.contentDigest = [UInt8](repeating: 5, count: 32) }
    if flaw == .shortDigest { body.contentDigest.removeLast() }
    if flaw == .tooManyEvents { body.eventCount += 1 }
    return body
  }

  private func countCall() -> Int {
    calls.update { count in
      count += 1
      return count
    }
  }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let isFirst = countCall() == 1
    if flaw == .neverDelivers { return .retry(reason: "down", after: nil) }
    if flaw == .refusesRepetition, !isFirst { return .conflict(reason: "exists") }
    return .delivered(receipt: "ok")
  }
}

@Suite("The laws of a sink") struct SinkConformanceTests {
  let records = ["one", "", "three"].map { Array($0.utf8) }

  @Test func `a sink that keeps the contract passes, and every sink is closed`() async throws {
    let made = AsyncCondition<[ScriptedSink]>([])
    let destination = RecordingDestination()
    func make(_ lineEnding: String) -> ScriptedSink {
      let sink = ScriptedSink(destination, lineEnding: lineEnding)
      made.update { $0.append(sink) }
      return sink
    }
    try await SinkConformance.check(records: records, reconfigured: { make("\r\n") }, makeSink: { make("\n") })
    #expect(made.value.count == 3 && made.value.allSatisfy { $0.closings == 1 })
    #expect(destination.arrivals.count == 6 && destination.distinct.count == 2)
  }

  @Test(arguments: FlawedSink.Flaw.allCases)
  func `every injected flaw is found, by the rule it breaks`(flaw: FlawedSink.Flaw) async throws {
    let violation = await #expect(throws: SinkViolation.self) {
      try await SinkConformance.check(
        records: records, secrets: ["hunter2"], reconfigured: { FlawedSink(flaw, lineEnding: "\r\n") },
        makeSink: { FlawedSink(flaw) })
    }
    #expect(violation?.rule == FlawedSink(flaw).rule)
  }

  @Test func `too few records to say anything are refused`() async {
    let violation = await #expect(throws: SinkViolation.self) {
      try await SinkConformance.check(records: [[1]], makeSink: { ScriptedSink() })
    }
    #expect(violation?.rule == .setting)
  }
}
