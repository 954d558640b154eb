import Logging
import PenstockDelivery
import PenstockLog
import PenstockSupport
import Synchronization

/// The running redeliveries of dead letters, at most one for each destination, and the result of each destination's
/// last one. The dead-letter log stores their progress.
final class RedeliveryRunner: Sendable {
  /// How long a destination may fail before a redelivery gives up. It is short, because an operator waits for the
  /// result.
  static let giveUpAfter = Duration.seconds(60)

  /// A redelivery that is running or has ended.
  struct Progress: Sendable {
    var letters: Int
    var report: RedeliveryReport
    var failure: String?
  }
  private struct Running {
    var redelivery: Redelivery
    var letters: Int
    var task: Task<Void, Never>
  }
  private struct State {
    var running: [String: Running] = [:]
    var ended: [String: Progress] = [:]
    var isStopping = false
  }
  private let logger: Logger
  private let state = Mutex(State())

  init(logger: Logger) { self.logger = logger }

  /// Starts a redelivery; false when one to this destination is running, or the service stops.
  ///
  /// - Parameter count: The number of dead letters in `scope`.
  func start(
    _ scope: RedeliveryScope, of letters: DeadLetters, to destination: ServiceDestination, letters count: Int
  ) throws -> Bool {
    var options = destination.options.delivery
    options.retry.giveUpAfter = Self.giveUpAfter
    let logger = logger.ofRequest
    let (name, sink) = (destination.name, try destination.makeReplaySink(scope.mark))
    let redelivery = Redelivery(
      RedeliverySettings(scope, of: name, to: name, options: options), in: letters, to: sink,
      environment: DeliveryEnvironment(logger: logger))
    let isStarted = state.withLock { state in
      guard !state.isStopping, state.running[name] == nil else { return false }
      let task = Task { [self] in await run(redelivery, name, count, logger) }
      state.running[name] = Running(redelivery: redelivery, letters: count, task: task)
      return true
    }
    if !isStarted { Task { await sink.close() } }
    return isStarted
  }

  private func run(_ redelivery: Redelivery, _ name: String, _ count: Int, _ logger: Logger) async {
    var failure: String?
    do { _ = try await redelivery.run() } catch {
      failure = "\(error)"
      logger.error(
        "the redelivery of dead letters failed", metadata: ["destination": "\(name)", "error": "\(error)"])
    }
    let progress = Progress(letters: count, report: await redelivery.report, failure: failure)
    state.withLock { state in
      state.running[name] = nil
      state.ended[name] = progress
    }
  }

  /// The running redelivery, or the last one; nil when there was none since the start.
  func state(_ name: String) async -> Progress? {
    let (running, ended) = state.withLock { ($0.running[name], $0.ended[name]) }
    guard let running else { return ended }
    return Progress(letters: running.letters, report: await running.redelivery.report)
  }

  /// Waits for the attempts in flight, and starts no other.
  func stop() async {
    let running = state.withLock { state in
      state.isStopping = true
      return Array(state.running.values)
    }
    for one in running { one.redelivery.stop() }
    for one in running { await one.task.value }
  }
}

extension RedeliveryRunner.Progress {
  private var stateName: String {
    if failure != nil { return "failed" }
    return switch report.ending {
    case nil: "running"
    case .caughtUp: "finished"
    default: "stopped"
    }
  }

  /// With the reasons of the first 20 that were rejected again.
  var json: OrderedJSON {
    .object([
      ("state", .string(stateName)), ("letters", .number(letters)), ("delivered", .number(report.delivered)),
      ("rejected", .number(report.rejected.count)),
      (
        "reasons",
        .array(
          report.rejected.prefix(20).map {
            .object([("number", .number($0.number.rawValue)), ("reason", .string($0.reason))])
          })
      ),
      ("failure", .optional(failure)),
    ])
  }
}
