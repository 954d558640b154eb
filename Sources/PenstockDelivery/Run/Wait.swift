import PenstockLog

/// What a delivery waits for, besides an operator, a shutdown and the answers to its attempts.
struct Wait: Hashable, Sendable {
  /// The offset past which it waits for records; nil: it does not wait for records.
  var recordsPast: Offset?
  /// Whether the router says when there are such records.
  var isRouted = false
  /// Nil: it does not wait for a moment.
  var deadline: MonotonicInstant?

  /// Nothing but a signal ends it, and so it needs no task that watches.
  var isForSignalsOnly: Bool { deadline == nil && (recordsPast == nil || isRouted) }
}

/// Why a wait is over.
enum Wakeup: Hashable, Sendable {
  /// A command, or an answer to an attempt.
  case signal
  case records, sourceClosed, time
}

/// What an operator or a shutdown wants of a running delivery, the answers to its attempts, and what else ends its
/// waits. A pure value; the delivery and everyone who wakes it share one under a lock.
///
/// Who wakes a delivery sets a mark here, and the delivery waits for marks alone. A mark stays until the delivery
/// removes it, so it counts whether it comes before the wait or during it. The delivery removes a mark *before* it
/// looks at what the mark is about: what comes after that look sets the mark again. So no wake-up is lost
/// (an exhaustive test tries every order).
struct DeliveryCommands: Sendable {
  var stop = false
  var retry = false
  /// The pause may have changed: the delivery has to read it.
  var pauseChanged = false
  /// Answers that the delivery has not handled yet.
  var answers: [DeliveryAnswer] = []
  /// The router has something for the delivery, or has sent it away.
  var routerCalls = false
  /// What a task that watches the source or the clock for the present wait has seen.
  private(set) var seen: Wakeup?

  /// Before the tasks that watch for a wait begin. Those of the wait before have ended.
  mutating func beginWait() { seen = nil }

  /// A task that watches has seen this. The first counts.
  mutating func see(_ wakeup: Wakeup) { seen = seen ?? wakeup }

  /// What ends a wait; nil while nothing does. A mark that a wait does not want leaves it alone, and stays.
  func wakeup(for wait: Wait) -> Wakeup? {
    if stop || retry || pauseChanged || !answers.isEmpty { return .signal }
    if wait.isRouted, routerCalls { return .records }
    return seen
  }
}

extension AsyncCondition<DeliveryCommands> {
  /// Takes what the router has. Removes the mark first: what the router finds during or after the look sets it again.
  func answerRouter<Result>(_ look: () -> Result) -> Result {
    update { $0.routerCalls = false }
    return look()
  }
}

/// The answer to an attempt, which ran concurrently.
struct DeliveryAnswer: Sendable {
  /// The open batch.
  let batch: DeliveryID
  /// The event's number in it, if it was sent by itself.
  let event: Int?
  /// What was sent: the batch, or the event under its own id.
  let intent: Intent
  let attempt: Int
  /// The attempt's number in the ``AttemptLog``.
  let number: UInt64
  let outcome: DeliveryOutcome
  let start: MonotonicInstant
  let end: MonotonicInstant
}

/// Waits for a delivery.
struct DeliveryWaiter: Sendable {
  let source: any RecordSource
  let clock: any DeliveryClock
  let commands: AsyncCondition<DeliveryCommands>

  /// Returns why the wait is over: a signal also when the task is cancelled. A wait for signals only holds no task but
  /// the caller's.
  func wakeup(for wait: Wait) async -> Wakeup {
    commands.update { $0.beginWait() }
    return wait.isForSignalsOnly ? await firstMark(wait) : await firstMarkWhileWatching(wait)
  }

  @inline(never)
  private func firstMarkWhileWatching(_ wait: Wait) async -> Wakeup {
    await withDiscardingTaskGroup { group in
      if let offset = wait.recordsPast, !wait.isRouted { group.addTask { await watch(past: offset) } }
      if let deadline = wait.deadline { group.addTask { await watch(until: deadline) } }
      let wakeup = await firstMark(wait)
      group.cancelAll()
      return wakeup
    }
  }

  private func firstMark(_ wait: Wait) async -> Wakeup {
    _ = await commands.wait { $0.wakeup(for: wait) != nil }
    return commands.value.wakeup(for: wait) ?? .signal
  }

  private func watch(past offset: Offset) async {
    let isThere = await source.waitForRecords(past: offset, timeout: nil)
    // A cancelled wait returns the same value as a closed source.
    if !Task.isCancelled { commands.update { $0.see(isThere ? .records : .sourceClosed) } }
  }

  private func watch(until deadline: MonotonicInstant) async {
    do { try await clock.sleep(until: deadline) } catch { return }
    commands.update { $0.see(.time) }
  }
}
