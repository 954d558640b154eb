import PenstockDelivery
@testable import PenstockLog
import Synchronization

/// Keeps what it is told, and lets a test wait for one of it.
final class EventRecorder: LogObserver {
  private let state = AsyncCondition<[LogObserverEvent]>([])

  func observe(_ notice: LogObserverEvent) { state.update { $0.append(notice) } }

  var notices: [LogObserverEvent] { state.value }

  /// Returns once a group of appends was acknowledged. The caller has its answer a moment before, while the committer
  /// still looks at the clock.
  func committed() async {
    await wait { if case .committed = $0 { true } else { false } }
  }

  /// Returns once such a notice has come, now or earlier.
  func wait(for isIt: @escaping @Sendable (LogObserverEvent) -> Bool) async {
    _ = await state.wait { $0.contains(where: isIt) }
  }
}

/// Goes on by a millisecond each time somebody looks.
final class StepClock: MonotonicClock {
  private let looks = Atomic<Int64>(0)
  var count: Int64 { looks.load(ordering: .sequentiallyConsistent) }
  func now() -> Int64 { looks.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue * 1_000_000 }
  func sleep(nanoseconds: Int64) {}
}
