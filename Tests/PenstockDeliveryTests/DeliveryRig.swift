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
    var (logger, options) = (Logger(label: "test"), options)
    logger.logLevel = .critical
    (options.policy, options.retry) = (policy, retry)
    return Delivery(
      from: (cursor ?? self.cursor).acquire(crash: crash), source: source, to: sink,
      options: options, deadLetters: deadLetters,
      environment: DeliveryEnvironment(
        clock: clock, wallClock: clock.timeOfDay, random: { 1 << 63 }, logger: logger, observer: observer))
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

  var outcomes: [DeliveryOutcome] {
    notices.value.compactMap { if case .answered(_, _, let outcome, _) = $0 { outcome } else { nil } }
  }
}

/// Waits for a task; a test that is cancelled, by its time limit, cancels it, so that a failing test does not hang.
@discardableResult
func outcome<Success: Sendable>(of task: Task<Success, any Error>) async throws -> Success {
  try await withTaskCancellationHandler {
    try await task.value
  } onCancel: {
    task.cancel()
  }
}

/// Says nothing.
let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
