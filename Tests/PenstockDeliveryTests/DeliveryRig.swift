import Logging
import PenstockDelivery
import PenstockLog
import PenstockTestKit

/// A log, a clock and a cursor in memory, and deliveries over them.
struct DeliveryRig: Sendable {
  let clock: ManualDeliveryClock
  let source: InMemorySource
  let cursor: InMemoryCursor

  init(records: Int = 0) {
    clock = ManualDeliveryClock()
    source = InMemorySource(timeOfDay: clock.timeOfDay, clock: clock)
    cursor = InMemoryCursor(named: "billing", of: source)
    for number in 0..<records { source.append("record \(number)") }
  }

  /// Waits are half of their bound.
  func delivery(
    to sink: any Sink, cursor: InMemoryCursor? = nil, policy: BatchPolicy = BatchPolicy(maxRecords: 3),
    retry: RetryPolicy = RetryPolicy(), options: DeliveryOptions = DeliveryOptions(),
    deadLetters: (any DeadLetterStore)? = nil, crash: CrashSwitch? = nil,
    observer: (@Sendable (DeliveryObserverEvent) -> Void)? = nil
  ) -> Delivery {
    var options = options
    (options.policy, options.retry) = (policy, retry)
    return Delivery(
      from: (cursor ?? self.cursor).acquire(crash: crash), source: source, to: sink, options: options,
      deadLetters: deadLetters, environment: environment(roll: 1 << 63, observer))
  }

  func environment(
    roll: UInt64 = 0, attempts: AttemptLog? = nil, _ observer: (@Sendable (DeliveryObserverEvent) -> Void)? = nil
  ) -> DeliveryEnvironment {
    DeliveryEnvironment(
      clock: clock, wallClock: clock.timeOfDay, random: { roll }, logger: silent, observer: observer,
      attempts: attempts)
  }

  /// The source's records, each with a line feed.
  var content: [UInt8] { source.allRecords.flatMap { $0 + [UInt8(ascii: "\n")] } }
}

/// Keeps what an observer is told.
struct NoticeLog: Sendable {
  private let notices = AsyncCondition<[DeliveryObserverEvent]>([])
  var observer: @Sendable (DeliveryObserverEvent) -> Void { { notice in notices.update { $0.append(notice) } } }

  var closeReasons: [CloseReason] {
    notices.value.compactMap { if case .opened(_, let reason, _) = $0 { reason } else { nil } }
  }

  /// The events of each batch that was opened.
  var eventCounts: [Int] {
    notices.value.compactMap { if case .opened(_, _, let count) = $0 { count } else { nil } }
  }

  var outcomes: [DeliveryOutcome] {
    notices.value.compactMap { if case .answered(_, _, let outcome, _) = $0 { outcome } else { nil } }
  }
}

extension Delivery {
  /// The delivery, and its run as a service.
  func started() -> (Delivery, Task<DeliveryReport, any Error>) { (self, Task { try await run() }) }
}

/// Stops a delivery and waits for its run.
@discardableResult
func stop(_ delivery: Delivery, _ run: Task<DeliveryReport, any Error>) async throws -> DeliveryReport {
  delivery.stop()
  return try await outcome(of: run)
}

/// Ends a run as the end of its process would.
func kill<Success: Sendable>(_ run: Task<Success, any Error>) async throws {
  run.cancel()
  try await outcome(of: run)
}

/// Runs one process until it is over, or until its crash switch has ended it.
func live<Report: Sendable>(
  until crash: CrashSwitch, _ body: @escaping @Sendable () async throws -> Report
) async -> Result<Report, any Error> {
  let run = Task { try await body() }
  let reaper = Task { if await crash.untilDead() { run.cancel() } }
  let result = await withTaskCancellationHandler {
    await run.result
  } onCancel: {
    run.cancel()
  }
  reaper.cancel()
  await reaper.value
  return result
}

/// Deaths at `steps`, one after the other, and then a process that finishes: what each may do, and its number.
func eachLife(dyingAt steps: [Int], _ body: (Int, CrashSwitch) async throws -> Void) async throws -> [Int] {
  var counts: [Int] = []
  for (number, step) in (steps.map(Optional.some) + [nil]).enumerated() {
    let crash = CrashSwitch(at: step)
    try await body(number, crash)
    counts.append(crash.steps.count)
  }
  return counts
}

/// Waits for a task; a test that is cancelled, by its time limit, cancels it, so that a failing test does not hang.
@discardableResult func outcome<Success: Sendable>(of task: Task<Success, any Error>) async throws -> Success {
  try await withTaskCancellationHandler {
    try await task.value
  } onCancel: {
    task.cancel()
  }
}

/// Says nothing.
let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
