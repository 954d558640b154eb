/// A thread that does blocking work for tasks, one job after the other.
package final class Worker: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var isStopping = false
  }
  private let monitor = Monitor(State())

  package init(name: String) {
    let monitor = monitor
    LogThread.start(name: name) {
      while true {
        let jobs: [@Sendable () -> Void]? = monitor.wait { state in
          if !state.jobs.isEmpty {
            defer { state.jobs = [] }
            return .some(state.jobs)
          }
          return state.isStopping ? .some(nil) : nil
        }
        guard let jobs else { return }
        for job in jobs { job() }
      }
    }
  }

  deinit {
    monitor.withLock { $0.isStopping = true }
    monitor.signal()
  }

  /// Queues a job and returns at once.
  func start(_ job: @escaping @Sendable () -> Void) {
    monitor.withLock { $0.jobs.append(job) }
    monitor.signal()
  }

  /// Does the work on the thread and returns its result. It cannot be cancelled: a job that has begun is finished.
  package func run<Result: Sendable, Failure: Error>(
    _ work: @escaping @Sendable () throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    let result: Swift.Result<Result, Failure> = await withCheckedContinuation { continuation in
      start {
        do throws(Failure) {
          continuation.resume(returning: .success(try work()))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }
}
