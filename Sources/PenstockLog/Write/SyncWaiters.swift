/// The callers that wait for a sync, and how much of the log each waits for: what was accepted before its call, and
/// nothing later. So a queue that never empties delays no caller. A pure value.
///
/// A full disk drops accepted records. Where their callers do not wait for them, a sync must report the loss. Each loss
/// is reported to every waiter that waits for one of the records. When no waiter waits for all of them, it is also
/// reported to the next call. So every loss is reported, and a single caller gets it once.
struct SyncWaiters<Waiter> {
  private var waiting: [(target: Offset, waiter: Waiter)] = []
  /// Why records were lost, where no caller has a full report of it.
  private(set) var unreported: LogError?

  init() {}

  /// Waits until everything below `target` is written, and synced after that. Where earlier accepted records are lost
  /// without a report, it returns why instead, once, and does not wait.
  mutating func wait(for target: Offset, _ waiter: Waiter) -> LogError? {
    if let loss = takeUnreported() { return loss }
    waiting.append((target, waiter))
    return nil
  }

  /// The unreported loss; from now on it counts as reported.
  mutating func takeUnreported() -> LogError? {
    defer { unreported = nil }
    return unreported
  }

  func isDue(writtenUpTo end: Offset) -> Bool { waiting.contains { $0.target <= end } }

  /// The waiters whose records are all written: sync, then answer them.
  mutating func due(writtenUpTo end: Offset) -> [Waiter] { take { $0 <= end } }

  /// Records `end` ..< `accepted` were accepted and are lost: the waiters that wait for one of them.
  ///
  /// - Parameter isSilent: Whether some of their callers got no answer of their own.
  mutating func lost(
    from end: Offset, upTo accepted: Offset, because reason: LogError, isSilent: Bool
  ) -> [Waiter] {
    if isSilent, !waiting.contains(where: { $0.target >= accepted }) { unreported = unreported ?? reason }
    return take { $0 > end }
  }

  /// Callers took records back; later records moved up.
  mutating func shrink(to end: Offset) {
    for index in waiting.indices { waiting[index].target = min(waiting[index].target, end) }
  }

  mutating func all() -> [Waiter] { take { _ in true } }

  private mutating func take(_ isTaken: (Offset) -> Bool) -> [Waiter] {
    let found = waiting.filter { isTaken($0.target) }
    waiting.removeAll { isTaken($0.target) }
    return found.map(\.waiter)
  }
}
