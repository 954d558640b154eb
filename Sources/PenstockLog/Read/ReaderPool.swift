internal import Synchronization

/// Threads that read a log for tasks, so that a read of the disk blocks no thread that runs tasks. It runs
/// ``ReadingQueue``.
///
/// Each log has a pool of its own: a slow disk delays the readers of its log alone, and the threads end with the log. A
/// log whose reads all find memory, as most side logs' do, starts no thread.
///
/// Two threads for each processor, at least 4 and at most 16: one decompresses while another waits for the disk. More
/// would not make a disk faster, and each may hold a block and its stored bytes.
final class ReaderPool: Sendable {
  typealias Queue = ReadingQueue<any PooledReading>
  /// What the threads hold; they do not keep the pool alive.
  final class Core: Sendable {
    let monitor = Monitor(Queue(limit: ReaderPool.threadLimit))

    func work() {
      while let entry = next() {
        var isDone = entry.reading.turn()
        while !isDone {
          guard monitor.withLock({ $0.endTurn(entry) }) else { break }
          isDone = entry.reading.turn()
        }
        guard isDone else { continue }
        // The thread is free before the task continues: a task that reads again at once needs no other thread.
        monitor.withLock { $0.finish(entry) }
        entry.reading.answer()
      }
    }

    /// Nil: the thread ends.
    private func next() -> Queue.Entry? {
      monitor.wait { queue -> Queue.Entry?? in
        switch queue.take() {
        case .run(let entry): entry
        case .exit: .some(nil)
        case .sleep: nil
        }
      }
    }
  }
  let core = Core()

  static let threadLimit = min(16, max(4, 2 * ProcessorCount.online))

  init() {}

  deinit { close() }

  /// Its threads end once all readings are done. Later readings are still done.
  func close() {
    core.monitor.withLock { $0.close() }
    core.monitor.signalAll()
  }

  /// Repeats `step` on a reader thread until it returns a result. Other readers have their turns between the steps.
  ///
  /// Throws `.cancelled` when the task is cancelled while the reading waits for a thread; a step that has begun is
  /// finished.
  func run<Work: Sendable, Output: Sendable>(
    _ length: ReadingLength, _ work: Work,
    _ step: @escaping @Sendable (inout Work) throws(LogError) -> Output?
  ) async throws(LogError) -> Output {
    let ticket = core.monitor.withLock { $0.ticket() }
    let result: Result<Output, LogError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let reading = Reading(work, step, continuation)
        let needsThread: Bool? = core.monitor.withLock { queue in
          // Read under the lock. A task is marked as cancelled before its handlers run. So either this line sees it, or
          // the handler finds the reading in the queue.
          Task.isCancelled ? nil : queue.join(ticket, length, reading)
        }
        switch needsThread {
        case nil: reading.cancel()
        case true?: LogThread.start(name: "penstock-read") { [core] in core.work() }
        case false?: core.monitor.signal()
        }
      }
    } onCancel: { [core] in
      core.monitor.withLock { $0.leave(ticket) }?.cancel()
    }
    return try result.get()
  }
}

/// A reading of any kind. The queue gives it to one thread at a time.
protocol PooledReading: AnyObject, Sendable {
  /// Does the next step. Returns whether it was the last one.
  func turn() -> Bool
  /// Passes the result to the task; after the last turn.
  func answer()
  /// Ends the reading instead of its next turn.
  func cancel()
}

private final class Reading<Work: Sendable, Output: Sendable>: PooledReading {
  private let work: Mutex<Work>
  private let outcome = Mutex<Result<Output, LogError>?>(nil)
  private let step: @Sendable (inout Work) throws(LogError) -> Output?
  private let continuation: CheckedContinuation<Result<Output, LogError>, Never>

  init(
    _ work: Work, _ step: @escaping @Sendable (inout Work) throws(LogError) -> Output?,
    _ continuation: CheckedContinuation<Result<Output, LogError>, Never>
  ) {
    self.work = Mutex(work)
    self.step = step
    self.continuation = continuation
  }

  func turn() -> Bool {
    let result: Result<Output, LogError>?
    do throws(LogError) {
      result = try work.withLock { (work) throws(LogError) in try step(&work) }.map { .success($0) }
    } catch {
      result = .failure(error)
    }
    outcome.withLock { $0 = result }
    return result != nil
  }

  func answer() {
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("a reading that is not done is answered") }
    continuation.resume(returning: result)
  }

  func cancel() {
    continuation.resume(returning: .failure(LogError(.cancelled, "the task was cancelled before it could read")))
  }
}
