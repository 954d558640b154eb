import PenstockLog

/// Runs asynchronous work on the thread that asks for it. The pieces run one at a time, in the order in which they
/// became ready, so equal work takes equal steps.
///
/// The calling thread blocks until the work is done: never call it from a task that others wait for.
package final class SerialRunner: TaskExecutor {
  private struct State {
    var ready: [UnownedJob] = []
    var isDone = false

    mutating func takeReady() -> [UnownedJob]? {
      defer { ready = [] }
      return ready.isEmpty ? nil : ready
    }
  }
  private let state = Monitor(State())

  package init() {}

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.ready.append(job) }
    state.signal()
  }

  /// Does the work, and everything it waits for that prefers this executor, on this thread.
  package func run<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) -> Result {
    let answer = start(work)
    while true {
      let jobs: [UnownedJob]? = state.wait { state in
        if let jobs = state.takeReady() { return .some(jobs) }
        return state.isDone ? .some(nil) : nil
      }
      guard let jobs else { break }
      for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
    guard let result = answer.withLock({ $0 }) else { preconditionFailure("the work is done and has no result") }
    return result
  }

  /// The most pieces that ``runAlone(_:)`` waits for.
  static let mostJobs = 400_000

  /// The same for work of which nothing runs elsewhere. Nil when it never ends: when all that is left of it waits for
  /// ever, or after so many pieces that it runs in a circle.
  package func runAlone<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) -> Result? {
    let answer = start(work)
    var count = 0
    while count < Self.mostJobs, let jobs = state.withLock({ $0.takeReady() }) {
      for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
      count += jobs.count
    }
    return answer.withLock { $0 }
  }

  /// Returns when everything that is ready now has had its turn.
  package func turn() async { await Task(executorPreference: self) {}.value }

  private func start<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) -> Monitor<Result?> {
    let answer = Monitor<Result?>(nil)
    state.withLock { $0.isDone = false }
    Task(executorPreference: self) { [state] in
      let result = await work()
      answer.withLock { $0 = result }
      state.withLock { $0.isDone = true }
      state.signal()
    }
    return answer
  }
}
