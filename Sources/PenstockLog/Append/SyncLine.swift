/// Who waits for a sync, and for how much of the log: what was accepted before the call, and nothing that came later. So a
/// queue that never empties keeps nobody waiting. A pure value.
package struct SyncLine<Waiter> {
  private var waiting: [(target: Offset, waiter: Waiter)] = []

  package init() {}

  /// Waits until everything below `target` is written, and synced after that.
  package mutating func wait(for target: Offset, _ waiter: Waiter) { waiting.append((target, waiter)) }

  package func isDue(writtenUpTo end: Offset) -> Bool { waiting.contains { $0.target <= end } }

  /// Those whose records are all written: sync, then tell them.
  package mutating func due(writtenUpTo end: Offset) -> [Waiter] { take { $0 <= end } }

  /// Records from `end` on were accepted and are lost: those who waited for one of them.
  package mutating func lost(from end: Offset) -> [Waiter] { take { $0 > end } }

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
