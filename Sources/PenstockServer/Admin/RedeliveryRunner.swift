import Logging
import PenstockDelivery
import PenstockLog
import Synchronization

/// The redeliveries of dead letters that run in this service, one for each destination, and how the last one of each ended. How far
/// they came is kept with the letters.
final class RedeliveryRunner: Sendable {
  /// As long as a destination may be in trouble before a redelivery ends; somebody waits for it.
  static let giveUpAfter = Duration.seconds(60)

  /// One that runs, or ran.
  struct Shown: Sendable {
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
    var ended: [String: Shown] = [:]
    var isStopping = false
  }
  private let logger: Logger
  private let state = Mutex(State())

  init(logger: Logger) { self.logger = logger }

  /// Begins one; false when one to that destination runs, or the service ends.
  ///
  /// - Parameter count: How many letters that are.
  func start(
    _ scope: RedeliveryScope, of letters: DeadLetters, to destination: ServiceDestination, letters count: Int
  ) throws -> Bool {
    var retry = destination.retry
    retry.giveUpAfter = Self.giveUpAfter
    let logger = logger.ofRequest
    let (name, sink) = (destination.name, try destination.makeReplaySink(scope.mark))
    let redelivery = Redelivery(
      scope, of: name, in: letters, to: sink, named: name, policy: destination.batch, retry: retry,
      options: destination.options, environment: DeliveryEnvironment(logger: logger))
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
        "dead letters could not be sent again", metadata: ["destination": "\(name)", "error": "\(error)"])
    }
    let shown = Shown(letters: count, report: await redelivery.report, failure: failure)
    state.withLock { state in
      state.running[name] = nil
      state.ended[name] = shown
    }
  }

  /// The one that runs, or the last one; nil where there was none since the start.
  func state(_ name: String) async -> Shown? {
    let (running, ended) = state.withLock { ($0.running[name], $0.ended[name]) }
    guard let running else { return ended }
    return Shown(letters: running.letters, report: await running.redelivery.report)
  }

  /// Lets the attempts in flight finish, and begins no other.
  func stop() async {
    let running = state.withLock { state in
      state.isStopping = true
      return Array(state.running.values)
    }
    for one in running { one.redelivery.stop() }
    for one in running { await one.task.value }
  }
}

extension RedeliveryRunner.Shown {
  private var word: String {
    if failure != nil { return "failed" }
    return switch report.ending {
    case nil: "running"
    case .caughtUp: "finished"
    default: "stopped"
    }
  }

  /// With the reasons of the first that were rejected again.
  var json: ServiceJSON {
    .object([
      ("state", .string(word)), ("letters", .number(letters)), ("delivered", .number(report.delivered)),
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
