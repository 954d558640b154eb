import Synchronization

/// Runs a delivery in shifts. A shift works until there is nothing to do but to wait, and no attempt is under way.
/// Between two shifts there is one small suspended call.
///
/// A task keeps the memory of its deepest call until it ends, some 30 KB for a delivery. So each shift is a task of its
/// own, and thousands of idle deliveries take little more than their state. The calls that wait have small frames: what
/// they do besides waiting is in calls of its own, which are not inlined.
final class DeliveryShifts: Sendable {
  private let waiter: DeliveryWaiter?
  private let begin: (@Sendable () async -> DeliveryRunner)?
  /// Nil before the first shift, and during one: then its task has the only copy, and changes its buffers in place.
  private let runner = Mutex<DeliveryRunner?>(nil)
  private let result: Mutex<Result<DeliveryReport, DeliveryFailure>?>

  init(_ waiter: DeliveryWaiter, _ begin: @escaping @Sendable () async -> DeliveryRunner) {
    self.waiter = waiter
    self.begin = begin
    result = Mutex(nil)
  }

  /// A delivery that cannot begin.
  init(failure: DeliveryFailure) {
    (waiter, begin) = (nil, nil)
    result = Mutex(.failure(failure))
  }

  /// False for a delivery that cannot begin: it has its outcome.
  var mayRun: Bool { waiter != nil }

  /// After ``run()``.
  func outcome() -> Result<DeliveryReport, DeliveryFailure> {
    guard let result = result.withLock({ $0 }) else { preconditionFailure("the last shift leaves a result") }
    return result
  }

  func run() async {
    while let waiter, let wait = await waitAfterShift() { note(await waiter.wakeup(for: wait)) }
  }

  /// Nil when the delivery has ended.
  @inline(never)
  private func waitAfterShift() async -> Wait? {
    await inItsOwnTask { await self.work() }
    return runner.withLock { $0?.wait }
  }

  @inline(never)
  private func note(_ wakeup: Wakeup) { runner.withLock { $0?.woken = wakeup } }

  private func work() async {
    guard var runner = await next() else { return }
    if let result = await runner.shift() {
      self.result.withLock { $0 = result }
    } else {
      self.runner.withLock { [runner] in $0 = runner }
    }
  }

  private func next() async -> DeliveryRunner? {
    if let runner = runner.withLock({ $0.take() }) { return runner }
    return await begin?()
  }
}

/// Does work in a task of its own, which is cancelled with the caller's. The memory of its calls is free when it ends.
@inline(never)
package func inItsOwnTask(_ work: @escaping @Sendable () async -> Void) async {
  await withDiscardingTaskGroup { $0.addTask { await work() } }
}
