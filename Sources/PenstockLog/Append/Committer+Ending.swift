internal import Synchronization

// How a committer ends, and what it tells the observer.
extension Committer {
  func report(_ group: [AppendQueue<Waiter?>.Pending], _ offsets: Range<Offset>, queuedBytes: Int) {
    // Who appends without waiting has no ticket, and no time with it.
    let since = group.lazy.compactMap(\.ticket?.since).first ?? observation.start()
    observation.tell(since: since) { latency in
      .committed(
        LogNotice.Group(
          appends: group.count, offsets: offsets, latency: latency, queuedBytes: queuedBytes,
          queueLimit: configuration.queueBytes))
    }
  }

  /// Returns when everything written so far is on stable storage.
  func sync() async throws(LogError) {
    let failure: LogError? = await withCheckedContinuation { continuation in
      let refusal: LogError? = monitor.withLock { state in
        if state.isFinished { return state.poison ?? LogError(.closed, "the log is closed") }
        state.syncWaiters.append(continuation)
        return nil
      }
      if let refusal { continuation.resume(returning: refusal) } else { monitor.signal() }
    }
    if let failure { throw failure }
  }

  /// The same as ``close()``, without waiting for it: nobody is left who could. True when nobody has closed it before.
  func closeUnattended() -> Bool {
    defer { monitor.signal() }
    return monitor.withLock { state in
      defer { state.queue.close() }
      return !state.queue.isClosing
    }
  }

  /// Writes what is queued, closes the writer and ends the thread. Calling it again waits for the same end.
  func close() async throws(LogError) {
    await withCheckedContinuation { continuation in
      let isFinished = monitor.withLock { state in
        state.queue.close()
        if !state.isFinished { state.whenFinished.append(continuation) }
        return state.isFinished
      }
      if isFinished { continuation.resume() } else { monitor.signal() }
    }
    if let failure = closingError.withLock({ $0 }) { throw failure }
  }
}
