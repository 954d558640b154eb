import Logging
import PenstockDelivery
import PenstockLog
import Synchronization

/// The running replays. The log stores the progress of each. After a shutdown a client resumes a replay by starting it
/// again with the same id.
final class ReplayRunner: Sendable {
  struct Running: Sendable {
    let replay: Replay
    let task: Task<Void, Never>
    let destination: String
  }
  private struct State {
    var running: [String: Running] = [:]
    /// The errors of failed replays by id, of the newest 100 only.
    var failures: [String: String] = [:]
    var isStopping = false
  }
  private let log: Log
  private let logger: Logger
  private let state = Mutex(State())

  init(_ log: Log, logger: Logger) {
    self.log = log
    self.logger = logger
  }

  /// Starts or resumes a replay; false when one with this id is running, or the service stops.
  func start(_ settings: ReplaySettings, to destination: ServiceDestination) throws -> Bool {
    let sink = try destination.makeReplaySink(settings.id)
    let logger = logger.ofRequest
    let replay = Replay(settings, of: log, to: sink, environment: DeliveryEnvironment(logger: logger))
    return state.withLock { state in
      guard !state.isStopping, state.running[settings.id] == nil else { return false }
      state.failures[settings.id] = nil
      let task = Task { [self] in await run(replay, settings.id, logger) }
      state.running[settings.id] = Running(replay: replay, task: task, destination: destination.name)
      return true
    }
  }

  private func run(_ replay: Replay, _ id: String, _ logger: Logger) async {
    var failure: String?
    do { _ = try await replay.run() } catch {
      failure = "\(error)"
      logger.error("a replay failed", metadata: ["replay": "\(id)", "error": "\(error)"])
    }
    state.withLock { state in
      state.running[id] = nil
      guard let failure else { return }
      if state.failures.count >= 100 { state.failures.removeAll() }
      state.failures[id] = failure
    }
  }

  func running(_ id: String) -> Running? { state.withLock { $0.running[id] } }
  func failure(_ id: String) -> String? { state.withLock { $0.failures[id] } }

  /// Stops a replay and durably deletes its state; false when none has this id.
  func discard(_ id: String) async throws(LogError) -> Bool {
    if let running = running(id) {
      running.replay.stop()
      await running.task.value
    }
    guard try await log.replay(id) != nil else { return false }
    try await Replay.discard(id, in: log)
    state.withLock { $0.failures[id] = nil }
    return true
  }

  /// Waits for the attempts in flight, and starts no other.
  func stop() async {
    let running = state.withLock { state in
      state.isStopping = true
      return Array(state.running.values)
    }
    for replay in running { replay.replay.stop() }
    for replay in running { await replay.task.value }
  }
}
