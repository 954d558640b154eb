internal import Synchronization

/// The thread that writes, syncs and answers.
extension Committer {
  private enum Step {
    case commit([Queue.Group], admitted: Admitted)
    case sync([@Sendable (LogError?) -> Void])
    case finish
  }

  /// The time between two attempts to write when the disk is full.
  private static let retryInterval = Duration.seconds(1)

  func run(_ writer: LogWriter) {
    // A separate thread: filling a segment with zeros takes a while, and cursors must not wait for it.
    let filler = Worker(name: "penstock-fill")
    let sealer = writer.sealer.map {
      BackgroundSealer($0, writer.view, logger: writer.logger, observation: observation)
    }
    var hasAskedForNext = false
    var segment = writer.segment
    var spin = AdaptiveSpin(processors: ProcessorCount.online)
    loop: while true {
      switch nextStep(&spin) {
      case .commit(let groups, let admitted):
        for (ticket, waiter) in admitted { waiter.resume(returning: ticket) }
        commit(groups, writer)
        planCommitPointSync(writer.syncCommitPoint, on: filler)
        if writer.segment != segment {
          segment = writer.segment
          trim { _ in }
          sealer?.wake()
        }
        if !writer.wantsNextSegment {
          hasAskedForNext = false
        } else if !hasAskedForNext {
          hasAskedForNext = true
          let preparer = writer.preparer
          // The roll meets a full disk again, and reports it, when it really needs the segment.
          filler.start { try? preparer.prepare() }
        }
      case .sync(let waiters):
        let failure = capture { () throws(LogError) in
          try writer.synchronize()
          try writer.publish()
        }
        for waiter in waiters { waiter(failure) }
      case .finish: break loop
      }
    }
    // Before the lock is released, because another writer may then begin.
    sealer?.stop()
    let failure = capture { () throws(LogError) in try writer.close() }
    observation.tell(.closed(failure))
    finish(failure)
  }

  /// Waits for something to do; busy-waits first, where that has been useful.
  private func nextStep(_ spin: inout AdaptiveSpin) -> Step {
    let seen = calls.load(ordering: .acquiring)
    let (next, isIdle) = monitor.withLock { (step(&$0), $0.queue.isIdle) }
    if let next { return next }
    // Busy encoders need the processors.
    if isIdle, spin.mayWait() {
      spin.waited(
        hasMet: LogThread.spinWait(atMost: AdaptiveSpin.moment) { calls.load(ordering: .acquiring) != seen })
    }
    return monitor.wait(on: Channel.committer, until: step)
  }

  /// The next step. Callers that wait for a sync come first: there may always be a next group.
  private func step(_ state: inout State) -> Step? {
    let syncs = state.syncs.due(writtenUpTo: state.queue.writtenEnd)
    if !syncs.isEmpty { return .sync(syncs) }
    let groups: [Queue.Group]
    switch state.queue.next() {
    case .compress(let group): groups = [group]
    case .write(let all): groups = all
    case .wait, .parked: return nil
    case .finish: return .finish
    }
    return .commit(groups, admitted: state.admit())
  }

  private func capture(_ body: () throws(LogError) -> Void) -> LogError? {
    do throws(LogError) {
      try body()
      return nil
    } catch {
      return error
    }
  }

  /// Writes the groups, in order, and makes them as safe as they asked: one sync for all of them.
  private func commit(_ groups: [Queue.Group], _ writer: LogWriter) {
    var written = 0
    var failure = capture { () throws(LogError) in
      for group in groups {
        try write(group, writer)
        written += 1
      }
    }
    var isPartlyAnswered = false
    if written > 0, failure?.code != .poisoned {
      let problem = capture { () throws(LogError) in try settle(groups[..<written], writer, &isPartlyAnswered) }
      if problem != nil {
        failure = problem
        written = 0
      }
    } else {
      written = 0
    }
    if let failure { giveUp(groups[written...], because: failure, writer, isPartlyAnswered: isPartlyAnswered) }
  }

  private func write(_ group: Queue.Group, _ writer: LogWriter) throws(LogError) {
    let offsets =
      if let block = group.block {
        try writer.write(try block.get())
      } else {
        try writer.write(group.batches)
      }
    precondition(offsets.lowerBound == group.first, "the queue and the writer disagree about offsets")
  }

  private func settle(
    _ groups: ArraySlice<Queue.Group>, _ writer: LogWriter, _ isPartlyAnswered: inout Bool
  ) throws(LogError) {
    let wantsDisk =
      configuration.durability == .disk || groups.contains { $0.appends.contains { $0.durability == .disk } }
    // Without a sync first, the names are checked here; `synchronize` checks them otherwise.
    if groups.contains(where: { $0.appends.contains { $0.durability < .disk } }) { try writer.checkNames() }
    // An answered caller finds its records. In a log of the strongest durability only synced records may be visible.
    if !wantsDisk || configuration.durability != .disk { try writer.publish() }
    answer(groups) { $0 < .disk }
    isPartlyAnswered = true
    if wantsDisk {
      try writer.synchronize()
      try writer.publish()
    }
    let waiting = change { state in
      state.queue.completed(groups.count)
      for group in groups {
        if case .success(let block) = group.block { state.release(block, configuration) }
      }
      return state.queue.waitingBytes
    }
    answer(groups) { $0 == .disk }
    isPartlyAnswered = false
    for group in groups { report(group, queuedBytes: waiting) }
  }

  private func answer(_ groups: ArraySlice<Queue.Group>, _ applies: (Durability) -> Bool) {
    for group in groups {
      for pending in group.appends where applies(pending.durability) {
        pending.ticket?.resume(.success(Receipt(offsets: pending.offsets, durability: pending.durability)))
      }
    }
  }

  private func report(_ group: Queue.Group, queuedBytes: Int) {
    // An append without waiting has no ticket, and so no time.
    let since = group.appends.lazy.compactMap(\.ticket?.since).first ?? observation.start()
    observation.tell(since: since) { latency in
      .committed(
        LogObserverEvent.Group(
          appends: group.appends.count, offsets: group.first..<group.end, latency: latency, queuedBytes: queuedBytes,
          queueLimit: configuration.queueBytes))
    }
  }

  // MARK: Failures

  /// The groups were not written, or not synced: answers them and all queued appends, unless these wait for disk space.
  private func giveUp(
    _ groups: ArraySlice<Queue.Group>, because error: LogError, _ writer: LogWriter, isPartlyAnswered: Bool
  ) {
    if error.code == .noSpace {
      if configuration.whenFull == .wait, park() { return }
      trim { _ in }
    }
    let (queued, syncs) = writer.producers.abandon(because: error) {
      change { state in
        // The queue is then empty: appends that wait for space are admitted, and their offers return the error.
        if error.code == .noSpace {
          let accepted = state.queue.acceptedEnd
          let queued = state.queue.ranOutOfSpace(end: writer.end)
          let isSilent =
            queued.contains { $0.ticket == nil } || groups.contains { $0.appends.contains { $0.ticket == nil } }
          let syncs = state.syncs.lost(from: writer.end, upTo: accepted, because: error, isSilent: isSilent)
          return (queued, syncs)
        }
        state.failure = error
        return (state.queue.fail(error), state.syncs.all())
      }
    }
    let unanswered = groups.flatMap(\.appends).filter { !isPartlyAnswered || $0.durability == .disk }
    for pending in unanswered + queued { pending.ticket?.resume(.failure(error)) }
    for sync in syncs { sync(error) }
    observation.tell(.failed(appends: unanswered.count + queued.count, error.code))
  }

  /// Keeps the rest of the commit, and all queued appends, until the disk has space. False when the log is closing.
  private func park() -> Bool {
    let withdrawn: [Queue.Pending]? = change { state in
      guard state.queue.park() else { return nil }
      return state.withdraw()
    }
    guard let withdrawn else { return false }
    answerWithdrawn(withdrawn)
    observation.tell(.parked)
    trim { hasDropped in if hasDropped { self.retryWrites() } }
    let isFirst = monitor.withLock { state in
      defer { state.isRetryPlanned = true }
      return !state.isRetryPlanned
    }
    if isFirst {
      Task {
        await sleep(Self.retryInterval)
        monitor.withLock { $0.isRetryPlanned = false }
        trim { _ in self.retryWrites() }
      }
    }
    return true
  }

  /// Tries again to write the appends that wait for disk space.
  func retryWrites() { change { $0.queue.unpark() } }
}
