import PenstockLog
import Synchronization

/// Keeps what it is told, and lets a test wait for one of it.
final class EventRecorder: LogObserver {
  private struct State {
    var notices: [LogObserverEvent] = []
    var waiting: (@Sendable (LogObserverEvent) -> Bool, CheckedContinuation<Void, Never>)?
  }
  private let state = Mutex(State())

  func observe(_ notice: LogObserverEvent) {
    let woken = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.notices.append(notice)
      guard let (isIt, continuation) = state.waiting, isIt(notice) else { return nil }
      state.waiting = nil
      return continuation
    }
    woken?.resume()
  }

  var notices: [LogObserverEvent] { state.withLock { $0.notices } }

  /// Returns once a group of appends was acknowledged. The caller has its answer a moment before, while the committer
  /// still looks at the clock.
  func committed() async {
    await wait { if case .committed = $0 { true } else { false } }
  }

  /// Returns once such a notice has come, now or earlier.
  func wait(for isIt: @escaping @Sendable (LogObserverEvent) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if state.notices.contains(where: isIt) { return true }
        state.waiting = (isIt, continuation)
        return false
      }
      if isThere { continuation.resume() }
    }
  }
}

/// Goes on by a millisecond each time somebody looks.
final class StepClock: MonotonicClock {
  private let looks = Atomic<Int64>(0)
  var count: Int64 { looks.load(ordering: .sequentiallyConsistent) }
  func now() -> Int64 { looks.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue * 1_000_000 }
  func sleep(nanoseconds: Int64) {}
}
