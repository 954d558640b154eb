/// Who waits for a sync, and for how much of the log: what was accepted before the call, and nothing that came later. So a
/// queue that never empties keeps nobody waiting. A pure value.
///
/// A full disk drops records that were accepted. Where their callers do not wait for them, a sync must report the loss:
/// each loss is reported to every waiter that waits for one of the records, and when no waiter waits for all of them, to
/// the next call as well. So no loss passes in silence, and a single caller is told once.
package struct SyncWaiters<Waiter> {
  private var waiting: [(target: Offset, waiter: Waiter)] = []
  /// Why records were lost that no caller has been told of in full.
  package private(set) var untold: LogError?

  package init() {}

  /// Waits until everything below `target` is written, and synced after that. Where records accepted before are lost and
  /// that was not reported, returns why instead, once, and nobody waits.
  package mutating func wait(for target: Offset, _ waiter: Waiter) -> LogError? {
    if let loss = takeUntold() { return loss }
    waiting.append((target, waiter))
    return nil
  }

  /// The loss that no caller has been told of; it counts as told from now on.
  package mutating func takeUntold() -> LogError? {
    defer { untold = nil }
    return untold
  }

  package func isDue(writtenUpTo end: Offset) -> Bool { waiting.contains { $0.target <= end } }

  /// Those whose records are all written: sync, then tell them.
  package mutating func due(writtenUpTo end: Offset) -> [Waiter] { take { $0 <= end } }

  /// Records `end` ..< `accepted` were accepted and are lost: those who waited for one of them.
  ///
  /// - Parameter isSilent: Whether the callers of some of them got no answer of their own.
  package mutating func lost(
    from end: Offset, upTo accepted: Offset, because reason: LogError, isSilent: Bool
  ) -> [Waiter] {
    if isSilent, !waiting.contains(where: { $0.target >= accepted }) { untold = untold ?? reason }
    return take { $0 > end }
  }

  /// Records were taken back by who had appended them; those behind moved up.
  package mutating func shrink(to end: Offset) {
    for index in waiting.indices { waiting[index].target = min(waiting[index].target, end) }
  }

  package mutating func all() -> [Waiter] { take { _ in true } }

  private mutating func take(_ isTaken: (Offset) -> Bool) -> [Waiter] {
    let found = waiting.filter { isTaken($0.target) }
    waiting.removeAll { isTaken($0.target) }
    return found.map(\.waiter)
  }
}
