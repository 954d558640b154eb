/// Runs ``ReadAheadQueue``: threads that decode, for one consumer. The threads end with the reader.
final class ReadAheadReader: Sendable {
  private typealias Outcome = Result<DecodedBlock?, LogError>
  private struct State {
    var queue: ReadAheadQueue<Outcome>
    var consumer: CheckedContinuation<Void, Never>?
    var isEnded = false
  }
  /// What the threads hold; they do not keep the reader alive.
  private final class Core: Sendable {
    let view: LogView
    let monitor: Monitor<State>

    init(_ view: LogView, depth: Int) {
      self.view = view
      monitor = Monitor(State(queue: ReadAheadQueue(depth: depth)))
    }

    func work() {
      while true {
        let plan: ReadAheadQueue<Outcome>.Plan? = monitor.wait { state in
          if state.isEnded { return .some(nil) }
          return state.queue.plan().map { .some($0) }
        }
        guard let plan else { return }
        decode(plan)
      }
    }

    private func decode(_ plan: ReadAheadQueue<Outcome>.Plan) {
      // As every reader does; only the next block's offset is looked up first.
      var next: Offset?
      if case .block(_, let entry)? = try? view.locate(plan.offset) { next = entry.endOffset }
      monitor.withLock { $0.queue.planned(plan, end: next) }
      if next != nil { monitor.signalAll() }
      let outcome: Outcome
      do throws(LogError) {
        outcome = .success(try view.block(holding: plan.offset))
      } catch {
        outcome = .failure(error)
      }
      let consumer = monitor.withLock { state in
        state.queue.done(plan, outcome)
        defer { state.consumer = nil }
        return state.consumer
      }
      consumer?.resume()
    }

    func end() {
      let consumer = monitor.withLock { state in
        state.isEnded = true
        state.queue.stop()
        defer { state.consumer = nil }
        return state.consumer
      }
      monitor.signalAll()
      consumer?.resume()
    }
  }
  private let core: Core

  init(_ view: LogView, threads: Int) {
    core = Core(view, depth: 2 * threads)
    for _ in 0..<threads { LogThread.start(name: "penstock-read") { [core] in core.work() } }
  }

  deinit { core.end() }

  /// The block that holds `offset`, as ``LogView/fetchBlock(holding:)`` returns it; nil at the end, and when the task
  /// is cancelled.
  func block(holding offset: Offset) async throws(LogError) -> DecodedBlock? {
    var hasRestarted = false
    while !Task.isCancelled {
      switch core.monitor.withLock({ $0.queue.take() }) {
      case .inProgress: await waitForSlot()
      case .ready(.success(let block?)) where block.baseOffset <= offset:
        // A block may reach further than planned, when its segment was sealed meanwhile. Then later slots hold nothing
        // new.
        if offset < block.endOffset { return block }
      case .ready, .nothing:
        // The queue does not match the consumer, which is new or has met something other than a block. So the queue
        // restarts here, and the present index answers.
        if hasRestarted { return try await core.view.fetchBlock(holding: offset) }
        hasRestarted = true
        core.monitor.withLock { $0.queue.restart(at: offset) }
        core.monitor.signalAll()
      }
    }
    return nil
  }

  private func waitForSlot() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isDone = core.monitor.withLock { state in
          if state.isEnded || Task.isCancelled || state.queue.hasHead { return true }
          state.consumer = continuation
          return false
        }
        if isDone { continuation.resume() } else { core.monitor.signalAll() }
      }
    } onCancel: {
      let consumer = core.monitor.withLock { state in
        defer { state.consumer = nil }
        return state.consumer
      }
      consumer?.resume()
    }
  }
}
