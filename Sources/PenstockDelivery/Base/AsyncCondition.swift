import Synchronization

/// A value under a lock that tasks can wait on: a condition variable for `async` code.
///
/// Every wait ends by a change of the value or by cancellation of the waiting task; no task polls.
package final class AsyncCondition<Value: Sendable>: Sendable {
  private struct Waiter: Sendable {
    let id: UInt64
    let condition: @Sendable (Value) -> Bool
    let continuation: CheckedContinuation<Bool, Never>
  }

  private struct State: Sendable {
    var value: Value
    /// Few, and in the order in which they came.
    var waiters: [Waiter] = []
    var lastID: UInt64 = 0
  }

  private let state: Mutex<State>

  package init(_ value: Value) { state = Mutex(State(value: value)) }

  package var value: Value { state.withLock { $0.value } }

  /// Changes the value and wakes the tasks whose condition now holds. `change` runs under the lock, so it must not call
  /// back.
  @discardableResult
  package func update<Result: Sendable>(_ change: (inout Value) -> Result) -> Result {
    let (result, woken) = state.withLock { state -> (Result, [Waiter]) in
      let result = change(&state.value)
      guard state.waiters.contains(where: { $0.condition(state.value) }) else { return (result, []) }
      let woken = state.waiters.filter { $0.condition(state.value) }
      state.waiters.removeAll { waiter in woken.contains { $0.id == waiter.id } }
      return (result, woken)
    }
    for waiter in woken { waiter.continuation.resume(returning: true) }
    return result
  }

  /// Returns true as soon as `condition` holds, at once when it already does. Returns false when the task is cancelled
  /// first. `condition` runs under the lock.
  package func wait(until condition: @escaping @Sendable (Value) -> Bool) async -> Bool {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if condition(state.value) { return true }
          // Read under the lock. A task is marked as cancelled before its handlers run. So either this line sees the
          // mark, or the handler below, which takes the lock later, sees the waiter.
          if Task.isCancelled { return false }
          state.waiters.append(Waiter(id: id, condition: condition, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
      }
      waiter?.continuation.resume(returning: false)
    }
  }
}
