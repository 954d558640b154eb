internal import Synchronization

/// Readers that wait for new records.
final class Waiters: Sendable {
  private struct State {
    var isClosed = false
    var end = Offset.zero
    var waiting: [(id: UInt64, past: Offset, continuation: CheckedContinuation<Bool, Never>)] = []
    var nextID: UInt64 = 0
  }
  private let state = Mutex(State())
  private let count = Atomic<Int>(0)

  /// Without a lock: the writer checks it for every block.
  var areThere: Bool { count.load(ordering: .relaxed) > 0 }
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Wakes readers that wait for a record below `end`, which is readable by now.
  func wake(upTo end: Offset) {
    let woken = state.withLock { state in
      state.end = end
      return take(&state) { $0 < end }
    }
    for continuation in woken { continuation.resume(returning: true) }
  }

  func close() {
    let woken = state.withLock { state in
      state.isClosed = true
      return take(&state) { _ in true }
    }
    for continuation in woken { continuation.resume(returning: false) }
  }

  private func take(
    _ state: inout State, _ applies: (Offset) -> Bool
  ) -> [CheckedContinuation<Bool, Never>] {
    guard !state.waiting.isEmpty else { return [] }
    var taken: [CheckedContinuation<Bool, Never>] = []
    state.waiting.removeAll { waiter in
      guard applies(waiter.past) else { return false }
      taken.append(waiter.continuation)
      return true
    }
    count.store(state.waiting.count, ordering: .relaxed)
    return taken
  }

  func wait(past offset: Offset) async -> Bool {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.end > offset { return true }
          if state.isClosed || Task.isCancelled { return false }
          state.waiting.append((id, offset, continuation))
          count.store(state.waiting.count, ordering: .relaxed)
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        let found = state.waiting.first { $0.id == id }
        state.waiting.removeAll { $0.id == id }
        count.store(state.waiting.count, ordering: .relaxed)
        return found
      }
      waiter?.continuation.resume(returning: false)
    }
  }
}

extension LogView {
  /// How often a waiting reader polls, where no writer publishes.
  private static let pollInterval = Duration.milliseconds(20)

  /// Ends all waiting for records, and the reader threads once they have nothing to do. Reading continues.
  func close() {
    waiters.close()
    readerThreads.close()
  }

  /// Returns true once a record at `offset` is readable; false when the view is closed or the task cancelled first.
  package func wait(past offset: Offset) async -> Bool {
    guard let follow else { return await waiters.wait(past: offset) }
    while end <= offset {
      do { try await offload(.short) { follow(self) } } catch { return false }
      if end > offset { return true }
      if waiters.isClosed { return false }
      do { try await Task.sleep(for: Self.pollInterval) } catch { return false }
    }
    return true
  }

  /// Returns true once a record at `offset` is readable; false when `timeout` passed, the view was closed or the task
  /// cancelled first.
  package func wait(past offset: Offset, for timeout: Duration) async -> Bool {
    await withTaskGroup(of: Bool?.self) { group in
      group.addTask { await self.wait(past: offset) }
      group.addTask {
        try? await Task.sleep(for: timeout)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first ?? (end > offset)
    }
  }
}
