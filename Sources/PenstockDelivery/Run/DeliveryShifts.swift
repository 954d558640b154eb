import Synchronization

/// Runs a delivery in shifts. A shift works until there is nothing to do but to wait, and no attempt is under way.
/// Between two shifts there is one small suspended call.
///
/// A task keeps the memory of its deepest call until it ends, some 30 KB for a delivery. So each shift is a task of its
/// own, and thousands of idle deliveries take little more than their state.
final class DeliveryShifts: Sendable {
  private let waiter: DeliveryWaiter
  private let begin: @Sendable () async -> DeliveryRunner
  /// Nil before the first shift, and during one: then its task has the only copy, and changes its buffers in place.
  private let runner = Mutex<DeliveryRunner?>(nil)
  private let result = Mutex<Result<DeliveryReport, DeliveryFailure>?>(nil)

  init(_ waiter: DeliveryWaiter, _ begin: @escaping @Sendable () async -> DeliveryRunner) {
    self.waiter = waiter
    self.begin = begin
  }

  func run() async -> Result<DeliveryReport, DeliveryFailure> {
    while true {
      await inItsOwnTask { await self.work() }
      guard let wait = runner.withLock({ $0?.wait }) else { break }
      let wakeup = await waiter.wakeup(for: wait)
      runner.withLock { $0?.woken = wakeup }
    }
    guard let result = result.withLock({ $0 }) else { preconditionFailure("the last shift leaves a result") }
    return result
  }

  private func work() async {
    var runner = if let runner = runner.withLock({ $0.take() }) { runner } else { await begin() }
    if let result = await runner.shift() {
      self.result.withLock { $0 = result }
    } else {
      self.runner.withLock { [runner] in $0 = runner }
    }
  }
}

/// Does work in a task of its own, which is cancelled with the caller's. The memory of its calls is free when it ends.
package func inItsOwnTask(_ work: @escaping @Sendable () async -> Void) async {
  await withDiscardingTaskGroup { $0.addTask { await work() } }
}
