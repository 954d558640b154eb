internal import Synchronization

/// The thread that writes, syncs and tells.
extension Committer {
  private enum Step {
    case commit([Queue.Group], admitted: Admitted)
    case sync([@Sendable (LogError?) -> Void])
    case finish
  }

  /// How long appends that wait for room on the disk wait before they look again.
  private static let roomInterval = Duration.seconds(1)

  func run(_ writer: LogWriter) {
    // A thread of its own: filling a segment with zeros takes a while, and cursors must not wait for it.
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
        for (turn, waiter) in admitted { waiter.resume(returning: turn) }
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
          // A full disk is met again, and told, when the segment is really needed.
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
    // Before the lock is let go of: another writer may take over then.
    sealer?.stop()
    let failure = capture { () throws(LogError) in try writer.close() }
    observation.tell(.closed(failure))
    finish(failure)
  }

  /// Waits for something to do; for a moment awake, where that has been worth it.
  private func nextStep(_ spin: inout AdaptiveSpin) -> Step {
    let seen = calls.load(ordering: .acquiring)
    let (next, isIdle) = monitor.withLock { (step(&$0), $0.queue.isIdle) }
    if let next { return next }
    // Encoders that are at work need the processors.
    if isIdle, spin.mayWait() {
      spin.waited(
        hasMet: LogThread.spinWait(atMost: AdaptiveSpin.moment) { calls.load(ordering: .acquiring) != seen })
    }
    return monitor.wait(on: Channel.committer, until: step)
  }

  /// What to do next. Who waits for a sync comes first: the next group may always be there.
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
    var isPartlyTold = false
    if written > 0, failure?.code != .poisoned {
      let problem = capture { () throws(LogError) in try settle(groups[..<written], writer, &isPartlyTold) }
      if problem != nil {
        failure = problem
        written = 0
      }
    } else {
      written = 0
    }
    if let failure { giveUp(groups[written...], because: failure, writer, isPartlyTold: isPartlyTold) }
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
    _ groups: ArraySlice<Queue.Group>, _ writer: LogWriter, _ isPartlyTold: inout Bool
  ) throws(LogError) {
    let wantsDisk =
      configuration.durability == .disk || groups.contains { $0.appends.contains { $0.durability == .disk } }
    // What is not synced first is proven to be in its place here; `synchronize` does so for all else.
    if groups.contains(where: { $0.appends.contains { $0.durability < .disk } }) { try writer.checkPlace() }
    // Who is told finds its records; in a log of the strongest durability only what is synced may be seen.
    if !wantsDisk || configuration.durability != .disk { try writer.publish() }
    tell(groups) { $0 < .disk }
    isPartlyTold = true
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
    tell(groups) { $0 == .disk }
    isPartlyTold = false
    for group in groups { report(group, queuedBytes: waiting) }
  }

  private func tell(_ groups: ArraySlice<Queue.Group>, _ applies: (Durability) -> Bool) {
    for group in groups {
      for pending in group.appends where applies(pending.durability) {
        pending.ticket?.resume(.success(Receipt(offsets: pending.offsets, durability: pending.durability)))
      }
    }
  }

  private func report(_ group: Queue.Group, queuedBytes: Int) {
    // Who appends without waiting has no ticket, and no time with it.
    let since = group.appends.lazy.compactMap(\.ticket?.since).first ?? observation.start()
    observation.tell(since: since) { latency in
      .committed(
        LogObserverEvent.Group(
          appends: group.appends.count, offsets: group.first..<group.end, latency: latency, queuedBytes: queuedBytes,
          queueLimit: configuration.queueBytes))
    }
  }

  // MARK: Trouble

  /// The groups were not written, or not synced: tells them and all behind them, unless they wait for room on the disk.
  private func giveUp(
    _ groups: ArraySlice<Queue.Group>, because error: LogError, _ writer: LogWriter, isPartlyTold: Bool
  ) {
    if error.code == .noSpace {
      if configuration.whenFull == .wait, park() { return }
      trim { _ in }
    }
    let (behind, syncs) = writer.producers.abandon(because: error) {
      change { state in
        // The queue is empty then: who waits for room is admitted, and told when it offers.
        if error.code == .noSpace {
          let accepted = state.queue.acceptedEnd
          let behind = state.queue.ranOutOfSpace(end: writer.end)
          let isSilent =
            behind.contains { $0.ticket == nil } || groups.contains { $0.appends.contains { $0.ticket == nil } }
          let syncs = state.syncs.lost(from: writer.end, upTo: accepted, because: error, isSilent: isSilent)
          return (behind, syncs)
        }
        state.failure = error
        return (state.queue.fail(error), state.syncs.all())
      }
    }
    let untold = groups.flatMap(\.appends).filter { !isPartlyTold || $0.durability == .disk }
    for pending in untold + behind { pending.ticket?.resume(.failure(error)) }
    for sync in syncs { sync(error) }
    observation.tell(.failed(appends: untold.count + behind.count, error.code))
  }

  /// Keeps what is left of the commit, and all behind it, until there is room on the disk. False when the log is being closed.
  private func park() -> Bool {
    let withdrawn: [Queue.Pending]? = change { state in
      guard state.queue.park() else { return nil }
      return state.withdraw()
    }
    guard let withdrawn else { return false }
    tellWithdrawn(withdrawn)
    observation.tell(.parked)
    trim { hasDropped in if hasDropped { self.lookForRoom() } }
    let isFirst = monitor.withLock { state in
      defer { state.isLookingForRoom = true }
      return !state.isLookingForRoom
    }
    if isFirst {
      Task {
        await sleep(Self.roomInterval)
        monitor.withLock { $0.isLookingForRoom = false }
        trim { _ in self.lookForRoom() }
      }
    }
    return true
  }

  /// Tries again to write what waits for room on the disk.
  func lookForRoom() { change { $0.queue.unpark() } }
}
