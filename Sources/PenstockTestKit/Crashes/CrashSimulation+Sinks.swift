internal import Logging
import PenstockDelivery
import PenstockLog

// Deliveries to a user's sink.
extension CrashSimulation {
  static let cursor = "simulation"

  static func subject(_ destination: Destination) async throws -> CrashScenario.Subject {
    CrashScenario.Subject(
      closesLog: false,
      run: { process in
        let lease = try await take(process)
        let sink = CrashSink(sink: try await destination.makeSink(), processRun: process.processRun)
        let delivery = Delivery(
          from: lease, source: process.log, to: sink,
          options: DeliveryOptions(
            policy: BatchPolicy(maxRecords: 2),
            retry: RetryPolicy(first: .milliseconds(100), cap: .milliseconds(100), giveUpAfter: .seconds(60))),
          environment: DeliveryEnvironment(
            clock: TickingClock(), wallClock: ManualClock(), random: { 0 },
            logger: .silent))
        _ = try await delivery.run(untilCaughtUpWith: process.log.end)
      },
      judge: { records in judge(try await destination.contents(), records) }, isDelivery: true)
  }

  private static func take(_ process: CrashScenario.Process) async throws -> CrashLease {
    let known = ProcessRun.cursors(process.processRun.disk)[cursor]
    let fresh = known ?? CursorState(startingAt: process.log.first)
    process.processRun.note(.cursorMoving(cursor, to: [fresh, fresh.acquired()]))
    let held = try await process.log.cursor(named: cursor)
    process.processRun.note(.cursorMoved(cursor, held.state))
    return CrashLease(cursor: held, processRun: process.processRun, end: process.log.end)
  }

  /// Each record must be at the destination, once, and nothing else.
  private static func judge(_ found: [[UInt8]], _ records: [[UInt8]]) -> [Violation] {
    var counts: [[UInt8]: Int] = [:]
    for record in found { counts[record, default: 0] += 1 }
    var violations: [Violation] = []
    for (number, record) in records.enumerated() {
      let count = counts.removeValue(forKey: record) ?? 0
      if count == 0 {
        violations.append(Violation(.deliveryIsExact, "record \(number) is not at the destination"))
      } else if count > 1 {
        violations.append(Violation(.deliveryIsExact, "record \(number) is at the destination \(count) times"))
      }
    }
    if let stranger = counts.first?.key {
      let words = String(decoding: stranger, as: UTF8.self)
      violations.append(Violation(.damageIsReported, "the destination has what is not in the log: \(words)"))
    }
    return violations
  }
}

/// Records what a sink is asked to send and what arrives. It crashes before and after, and loses the first answer of
/// each process.
private struct CrashSink: Sink {
  let sink: any Sink
  let processRun: ProcessRun
  private let attempts = AsyncCondition(0)

  init(sink: any Sink, processRun: ProcessRun) {
    self.sink = sink
    self.processRun = processRun
  }

  var description: String { sink.description }
  var selection: EventSelection { sink.selection }
  var recordsEveryRange: Bool { sink.recordsEveryRange }
  var plansAhead: Bool { sink.plansAhead }
  func selection(plan: [UInt8]) throws(SinkError) -> EventSelection { try sink.selection(plan: plan) }
  func plan(_ outline: BatchMetadata) throws(SinkError) -> [UInt8] { try sink.plan(outline) }
  func prepare(_ batch: Batch, plan: [UInt8]) throws(SinkError) -> PreparedBody { try sink.prepare(batch, plan: plan) }

  func deliver(_ delivery: DeliveryRequest) async -> DeliveryOutcome {
    let range = delivery.intent.first..<delivery.intent.end
    let words = "records \(range.lowerBound) ..< \(range.upperBound)"
    let batch = History.Delivered(
      delivery.intent.id, range, digest: History.digest(delivery.intent.plan + delivery.body.contentDigest))
    do {
      try await processRun.step("before it sends \(words)")
      processRun.note(.sending(cursor: delivery.cursor, batch))
      let outcome = await sink.deliver(delivery)
      processRun.tell("  sends \(words): \(outcome)")
      if case .delivered = outcome { processRun.note(.received(cursor: delivery.cursor, batch)) }
      try await processRun.step("after it has sent \(words)")
      let isFirst = attempts.update { attempts in
        attempts += 1
        return attempts == 1
      }
      guard isFirst, case .delivered = outcome else { return outcome }
      processRun.tell("  the answer is lost")
      return .retry(reason: "the simulation lost the answer", after: nil)
    } catch {
      return .retry(reason: "the process is dead", after: nil)
    }
  }

  func close() async { await sink.close() }
}

/// A cursor of the log, every move noted.
private struct CrashLease: CursorLease {
  let cursor: Cursor
  let processRun: ProcessRun
  let end: Offset

  var name: String { cursor.name }
  var state: CursorState { get async { cursor.state } }

  private func moving(_ step: (CursorState) throws(CursorMoveError) -> CursorState) throws(LogError) {
    do throws(CursorMoveError) {
      processRun.note(.cursorMoving(name, to: [try step(cursor.state)]))
    } catch {
      throw LogError(.illegalMove, "the cursor does not make that move", cause: error)
    }
  }

  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError) {
    try moving { (state) throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: cursor.epoch, durableEnd: end)
    }
    try await cursor.begin(intent, rejectionReason: rejectionReason)
    processRun.note(.cursorMoved(name, cursor.state))
  }

  func replace(
    _ id: DeliveryID, with intent: Intent, rejectionReason: String?
  ) async throws(LogError) -> CursorState {
    try moving { (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: cursor.epoch)
    }
    let next = try await cursor.replace(id, with: intent, rejectionReason: rejectionReason)
    processRun.note(.cursorMoved(name, next))
    return next
  }

  func complete(_ id: DeliveryID, receipt: String, beginning next: Intent?) async throws(LogError) -> CursorState {
    try moving { (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: cursor.epoch, durableEnd: end)
    }
    let state = try await cursor.complete(id, receipt: receipt, beginning: next)
    processRun.note(.cursorMoved(name, state))
    return state
  }

  func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    try moving { (state) throws(CursorMoveError) in try state.settling(id, change, epoch: cursor.epoch) }
    let next = try await cursor.settle(id, change)
    processRun.note(.cursorMoved(name, next))
    return next
  }

  func skip(to offset: Offset) async throws(LogError) -> CursorState { try await cursor.skip(to: offset) }

  func save() async throws(LogError) {
    try moving { (state) throws(CursorMoveError) in state }
    try await cursor.save()
    processRun.note(.cursorMoved(name, cursor.state))
  }
}
