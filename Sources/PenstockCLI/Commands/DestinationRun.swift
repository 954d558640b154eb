import Logging
import PenstockDelivery
import PenstockLog
import PenstockToolSupport
import ServiceLifecycle
import Synchronization

/// The delivery of one destination in one `penstock deliver`, and its result.
final class DestinationRun: Service {
  struct Result: Sendable {
    var first: Offset?
    var progress: DeliveryProgress?
    /// `caughtUp`, `stopped`, `sourceClosed`, or the code of the failure.
    var ended = "notStarted"
    var failure: Failure?
    var deadLetters = 0
  }

  let name: String
  private let destination: Configuration.Destination
  /// The log's directory.
  let log: String
  private let sink: any Sink
  private let state = Mutex((result: Result(), delivery: Delivery?.none, lastTrouble: String?.none))

  init(_ destination: Configuration.Destination, sink: any Sink, log: String) {
    name = destination.name
    self.destination = destination
    self.log = log
    self.sink = sink
  }

  var result: Result { state.withLock { $0.result } }
  var description: String { sink.description }

  /// Takes the cursor. Stores a failure instead of throwing it, so that the other destinations run.
  func prepare(
    _ reader: LogReader, _ router: EventRouter, giveUpAfter: Duration?, isVerbose: Bool, logger: Logger
  ) async {
    do throws(LogError) {
      let cursor = try await reader.cursor(named: name, startingAt: destination.startAt)
      let delivery = destination.makeDelivery(
        from: cursor, source: reader, to: sink, log: log, giveUpAfter: giveUpAfter,
        environment: DeliveryEnvironment(
          logger: logger, observer: { [weak self] in self?.note($0, isVerbose: isVerbose) }, router: router))
      state.withLock {
        $0.result.first = cursor.state.committed
        $0.delivery = delivery
      }
    } catch {
      await sink.close()
      fail(Failure(log: error), ended: error.code.description)
    }
  }

  /// Delivers up to `end`; never throws.
  func run(until end: Offset) async {
    guard let delivery = state.withLock({ $0.delivery }) else { return }
    do throws(DeliveryFailure) {
      let report = try await delivery.run(untilCaughtUpWith: end)
      await keepProgress(delivery, ended: report.ending.rawValue)
      guard report.ending == .paused else { return }
      fail(
        Failure(
          .bad, "paused", "the destination is paused; records from offset \(report.end) on are not delivered",
          advice: "penstock cursor resume \(name) --log \(log)"), ended: report.ending.rawValue)
    } catch {
      await keepProgress(delivery, ended: error.trouble.kind.rawValue)
      fail(Failure(error), ended: error.trouble.kind.rawValue)
    }
  }

  /// Delivers until shutdown. Stores a failure instead of throwing it, so that the other destinations continue.
  func run() async throws {
    guard let delivery = state.withLock({ $0.delivery }) else { return }
    do {
      try await delivery.run()
      await keepProgress(delivery, ended: DeliveryReport.Ending.stopped.rawValue)
    } catch {
      await keepProgress(delivery, ended: "failed")
      fail(Failure(error), ended: Failure(error).code)
    }
  }

  func stop() { state.withLock { $0.delivery }?.stop() }

  /// The records delivered so far, and their bytes.
  func countSoFar() async -> (records: Int, bytes: Int) {
    guard let delivery = state.withLock({ $0.delivery }) else { return (0, 0) }
    let progress = await delivery.progress
    return (progress.records, progress.bytes)
  }

  private func keepProgress(_ delivery: Delivery, ended: String) async {
    let progress = await delivery.progress
    state.withLock {
      $0.result.progress = progress
      $0.result.ended = ended
    }
  }

  private func fail(_ failure: Failure, ended: String) {
    state.withLock {
      $0.result.ended = ended
      $0.result.failure = failure
    }
    Output.note("penstock deliver: \(name): \(failure.message)")
    if let advice = failure.advice { Output.note("  \(advice)") }
  }

  /// Prints each kind of failure once, and again when it is over.
  private func note(_ notice: DeliveryObserverEvent, isVerbose: Bool) {
    switch notice {
    case .answered(let intent, let attempt, .retry(let reason, _), _):
      let words = reason + "; will be retried"
      let isNew = state.withLock { state in
        defer { state.lastTrouble = words }
        return state.lastTrouble != words
      }
      if isNew || isVerbose {
        Output.note(
          "penstock deliver: \(name): records \(intent.first) ..< \(intent.end), attempt \(attempt): \(words)")
      }
    case .committed(let intent, let receipt):
      let hadTrouble = state.withLock { state in
        defer { state.lastTrouble = nil }
        return state.lastTrouble != nil
      }
      if hadTrouble || isVerbose {
        Output.note("penstock deliver: \(name): records \(intent.first) ..< \(intent.end) delivered (\(receipt))")
      }
    case .halted(let trouble):
      state.withLock { $0.lastTrouble = trouble.message }
      Output.note("penstock deliver: \(name): halted, needs an operator: \(trouble)")
    case .paused(let pause):
      let reason = pause.reason.isEmpty ? "" : " (\(pause.reason))"
      Output.note(
        "penstock deliver: \(name): paused\(reason); to resume, use penstock cursor resume \(name) --log \(log)")
    case .resumed: Output.note("penstock deliver: \(name): resumed")
    case .deadLettered(let intent, let reason):
      state.withLock { $0.result.deadLetters += 1 }
      Output.note("penstock deliver: \(name): record \(intent.first) became a dead letter: \(reason)")
    // Every other answer ends or halts the delivery, which prints its own message.
    case .answered, .opened, .split: break
    }
  }
}
