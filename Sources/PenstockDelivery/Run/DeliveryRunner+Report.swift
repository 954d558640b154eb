import PenstockLog

extension DeliveryRunner {
  /// Publishes the state in the progress.
  func publish() {
    let (activity, trouble, nextTry) = (state.activity, state.trouble, nextTry)
    let (intent, open, circuit) = (state.intent, state.open.count, state.circuit.state)
    let pause = state.isPaused ? pause : nil
    let committed = state.committed
    progress.update {
      $0.activity = activity
      $0.committed = committed
      $0.end = max($0.end, committed)
      if $0.deliveryID != intent?.id { $0.attemptsAtBatch = 0 }
      $0.inFlight = intent.map { $0.first..<$0.end }
      $0.deliveryID = intent?.id
      $0.batchesInFlight = open
      $0.circuit = circuit
      $0.pause = pause
      $0.trouble = trouble
      $0.lastTrouble = trouble ?? $0.lastTrouble
      $0.nextTry = nextTry
    }
  }

  /// When the next attempt is due, by the present time of day.
  private var nextTry: Timestamp? {
    guard let until = state.deadline else { return nil }
    let wait = until - environment.clock.now()
    return Timestamp(seconds: environment.wallClock.now().seconds + wait / .seconds(1))
  }

  func end(_ ending: DeliveryState.Ending, first: Offset) -> Result<DeliveryReport, DeliveryFailure> {
    switch ending {
    case .caughtUp: .success(report(.caughtUp, first: first))
    case .stopped: .success(report(.stopped, first: first))
    case .sourceClosed: .success(report(.sourceClosed, first: first))
    case .paused: .success(report(.paused, first: first))
    case .failed(let trouble): .failure(failure(trouble))
    }
  }

  private func report(_ ending: DeliveryReport.Ending, first: Offset) -> DeliveryReport {
    let progress = progress.value
    return DeliveryReport(
      ending: ending, first: first, end: state.committed, batches: progress.batches, records: progress.records,
      events: progress.events, bytes: progress.bytes, attempts: progress.attempts, retries: progress.retries,
      deadLetters: progress.deadLetters)
  }

  private func failure(_ trouble: DeliveryTrouble) -> DeliveryFailure {
    let isByLog =
      switch trouble.kind {
      case .fenced, .cursorFailed, .unreadable, .gaveUp: true
      default: false
      }
    return DeliveryFailure(
      trouble, cursor: lease.name, destination: sink.description, range: lastRange,
      cause: isByLog ? lastLogError : nil)
  }
}
