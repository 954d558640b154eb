import Synchronization

/// Runs a delivery in shifts. A shift works until there is nothing to do but to wait, and no attempt is under way.
/// Between two shifts there is one small suspended call.
///
/// A task keeps the memory of its deepest call until it ends, some 30 KB for a delivery. So each shift is a task of its
/// own, and thousands of idle deliveries take little more than their state.
final class DeliveryShifts: Sendable {
  private let waiter: DeliveryWaiter
  /// Nil during a shift: its task has the only copy, and changes its buffers in place.
  private let runner: Mutex<DeliveryRunner?>
  private let result = Mutex<Result<DeliveryReport, DeliveryFailure>?>(nil)

  init(_ runner: DeliveryRunner) {
    waiter = runner.waiter
    self.runner = Mutex(runner)
  }

  func run() async -> Result<DeliveryReport, DeliveryFailure> {
    while true {
      await inItsOwnTask { await self.work() }
      if let result = result.withLock({ $0 }) { return result }
      guard let wait = runner.withLock({ $0?.wait }) else { preconditionFailure("a shift returns its runner") }
      let wakeup = await waiter.wakeup(for: wait)
      runner.withLock { $0?.woken = wakeup }
    }
  }

  private func work() async {
    guard var runner = runner.withLock({ $0.take() }) else { preconditionFailure("shifts do not overlap") }
    let result = await runner.shift()
    self.result.withLock { $0 = result }
    self.runner.withLock { [runner] in $0 = runner }
  }
}

/// Does work in a task of its own, which is cancelled with the caller's. The memory of its calls is free when it ends.
package func inItsOwnTask(_ work: @escaping @Sendable () async -> Void) async {
  await withDiscardingTaskGroup { $0.addTask { await work() } }
}
