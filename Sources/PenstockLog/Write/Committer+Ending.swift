/// Syncing on demand, and the end.
extension Committer {
  /// Returns when everything accepted before the call is on stable storage.
  func sync() async throws(LogError) {
    let failure: LogError? = await withCheckedContinuation { continuation in
      sync { continuation.resume(returning: $0) }
    }
    if let failure { throw failure }
  }

  /// The same for a thread that may block. Blocks the calling thread.
  func syncBlockingThread() throws(LogError) {
    let answer = Monitor<LogError??>(nil)
    sync { failure in
      answer.withLock { $0 = .some(failure) }
      answer.signal()
    }
    if let failure = answer.wait(until: { $0 }) { throw failure }
  }

  private func sync(_ waiter: @escaping @Sendable (LogError?) -> Void) {
    let refusal: LogError? = change { state in
      if state.isFinished { return state.failure ?? LogError(.closed, "the log is closed") }
      if let failure = state.failure { return failure }
      return state.syncs.wait(for: state.queue.acceptedEnd, waiter)
    }
    if let refusal { waiter(refusal) }
  }

  /// The same as ``close()`` without waiting, because no caller is left. True when the log was not closed before.
  func closeUnattended() -> Bool {
    change { state in
      defer { state.queue.close() }
      return !state.queue.isClosing
    }
  }

  /// Writes what is queued, closes the writer and ends the threads. A second call waits for the same end. Throws the
  /// error that ended the log, if one did.
  func close() async throws(LogError) {
    await withCheckedContinuation { continuation in
      let isFinished = change { state in
        state.queue.close()
        if !state.isFinished { state.whenFinished.append { continuation.resume() } }
        return state.isFinished
      }
      if isFinished { continuation.resume() }
    }
    if let failure = monitor.withLock({ $0.failure }) { throw failure }
  }

  /// The thread has ended, and the writer with it.
  func finish(_ failure: LogError?) {
    let (finished, waiting, syncing, reason) = monitor.withLock { state in
      state.isFinished = true
      // Includes a loss of accepted records that no sync has reported: the last chance to report it.
      state.failure = state.failure ?? failure ?? state.syncs.takeUnreported()
      defer {
        state.whenFinished = []
        state.free = []
      }
      return (state.whenFinished, state.admissions.dismiss(), state.syncs.all(), state.failure)
    }
    monitor.signalAll(Channel.encoders)
    for (ticket, waiter) in waiting { waiter.resume(returning: ticket) }
    for waiter in syncing { waiter(reason) }
    for waiter in finished { waiter() }
  }
}
