internal import Synchronization

/// The shell around ``AppendQueue`` and ``LogWriter``: one thread that writes, syncs and tells; any number of tasks that
/// append.
package final class Committer: Sendable {
  /// Whoever waits for an append.
  struct Waiter: Sendable {
    /// By which a waiting append is found again when it is cancelled.
    var id: UInt64 = 0
    /// Does not wait for room on the disk.
    var isImpatient = false
    /// When it was offered, for the observer; 0 without one.
    var since: Int64 = 0
    let resume: @Sendable (Result<Receipt, LogError>) -> Void
  }

  struct State {
    var queue: AppendQueue<Waiter?>
    /// Tasks waiting for room, in order of arrival.
    var forRoom: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    var nextID: UInt64 = 0
    /// Appends that were cancelled and have not returned.
    var cancelled: Set<UInt64> = []
    /// Whether somebody will look for room on the disk again.
    var isLookingForRoom = false
    var isFinished = false
    /// What ended the writer before its time.
    var poison: LogError?
    var whenFinished: [CheckedContinuation<Void, Never>] = []
    /// Set by ``sync()``: how far somebody wants to be durable at once.
    var syncWaiters: [CheckedContinuation<LogError?, Never>] = []

    /// Takes back those that were cancelled or do not wait, once the disk is full.
    mutating func withdraw() -> [AppendQueue<Waiter?>.Pending] {
      guard queue.isParked else { return [] }
      return queue.withdraw { ticket in ticket.map { $0.isImpatient || cancelled.contains($0.id) } ?? false }
    }
  }
  let monitor: Monitor<State>
  let configuration: LogConfiguration
  let closingError: Mutex<LogError?> = Mutex(nil)
  /// Runs retention on another thread, then says whether it removed anything.
  private let trim: @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  private let sleep: @Sendable (Duration) async -> Void
  let observation: Observation
  /// How long appends that wait for room on the disk wait before they look again.
  private static let roomInterval = Duration.seconds(1)

  /// Starts the thread, which owns the writer from here on.
  init(
    _ writer: sending LogWriter, _ configuration: LogConfiguration, _ environment: LogEnvironment,
    trim: @escaping @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  ) {
    self.configuration = configuration
    sleep = environment.sleep
    observation = environment.observation
    self.trim = trim
    monitor = Monitor(
      State(
        queue: AppendQueue(
          nextOffset: writer.end, blockBytes: configuration.blockBytes, queueBytes: configuration.queueBytes)))
    let owned = Owned(writer)
    LogThread.start(name: "penstock-commit") { [self] in run(owned.writer) }
  }

  /// Hands the writer to its thread.
  ///
  /// `@unchecked Sendable`: it crosses once, from the task that opened the log to the thread, which alone uses it.
  private final class Owned: @unchecked Sendable {
    let writer: LogWriter
    init(_ writer: sending LogWriter) { self.writer = writer }
  }

  // MARK: Appending

  /// Returns when the batch is as safe as asked. Waits for room; cancelling that wait leaves nothing behind, and once the
  /// batch is in the queue it is written, cancelled or not.
  func append(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    while true {
      let receipt =
        configuration.whenFull == .wait
        ? try await offerCancellably(batch, durability) : try await offer(batch, durability)
      if let receipt { return receipt }
      guard await waitForRoom(for: batch) else {
        throw LogError(.cancelled, "the append was cancelled; nothing was written")
      }
    }
  }

  /// Like ``append(_:_:)``, but throws `.overloaded` where that would wait for room.
  func tryAppend(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    if let receipt = try await offer(batch, durability, isImpatient: true) { return receipt }
    throw LogError(.overloaded, "\(configuration.queueBytes) bytes wait to be written already; try again later")
  }

  /// One continuation for the whole append: resumed by the commit, or at once with nil when there is no room.
  private func offer(
    _ batch: RecordBatch, _ durability: Durability, id: UInt64 = 0, isImpatient: Bool = false
  ) async throws(LogError) -> Receipt? {
    let answer: Result<Receipt, LogError>? = await withCheckedContinuation { continuation in
      let waiter = Waiter(id: id, isImpatient: isImpatient, since: observation.start()) {
        continuation.resume(returning: $0)
      }
      let (offer, withdrawn) = monitor.withLock { state in
        let offer = state.queue.offer(batch, durability: durability, ticket: durability == .accepted ? nil : waiter)
        return (offer, state.withdraw())
      }
      tellWithdrawn(withdrawn)
      switch offer {
      case .accepted(let offsets):
        monitor.signal()
        if durability == .accepted {
          continuation.resume(returning: .success(Receipt(offsets: offsets, durability: .accepted)))
        }
      case .full: continuation.resume(returning: nil)
      case .refused(let error): continuation.resume(returning: .failure(error))
      }
    }
    return try answer?.get()
  }

  /// An append that can be taken back while the disk is full. Dearer, so only where appends wait for that.
  private func offerCancellably(
    _ batch: RecordBatch, _ durability: Durability
  ) async throws(LogError) -> Receipt? {
    let id = monitor.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    defer { monitor.withLock { _ = $0.cancelled.remove(id) } }
    let answer: Result<Receipt?, LogError> = await withTaskCancellationHandler {
      do throws(LogError) {
        return .success(try await offer(batch, durability, id: id))
      } catch {
        return .failure(error)
      }
    } onCancel: {
      let withdrawn = monitor.withLock { state in
        state.cancelled.insert(id)
        return state.withdraw()
      }
      tellWithdrawn(withdrawn)
    }
    return try answer.get()
  }

  private func tellWithdrawn(_ withdrawn: [AppendQueue<Waiter?>.Pending]) {
    for pending in withdrawn {
      let error =
        pending.ticket?.isImpatient == true
        ? LogError(.noSpace, "the disk is full, and appends wait for room")
        : LogError(.cancelled, "the append was cancelled; nothing was written")
      pending.ticket?.resume(.failure(error))
    }
    guard !withdrawn.isEmpty else { return }
    let waiting = monitor.withLock { state in
      defer { state.forRoom.removeAll() }
      return state.forRoom.map(\.continuation)
    }
    for waiter in waiting { waiter.resume(returning: true) }
    // A sync may have waited for these.
    monitor.signal()
  }

  /// How safe a producer's append is when it returns.
  var producersDurability: Durability { max(configuration.durability, .kernel) }

  /// Takes a producer's append in, or says why not, without waiting.
  func offerNow(_ batch: RecordBatch, _ waiter: Waiter) -> AppendQueue<Waiter?>.Offer {
    defer { monitor.signal() }
    return monitor.withLock { $0.queue.offer(batch, durability: producersDurability, ticket: waiter) }
  }

  func check(_ batch: RecordBatch) throws(LogError) {
    guard !batch.isEmpty else { throw LogError(.emptyBatch, "a batch must hold at least one record") }
    guard batch.longestRecord <= configuration.recordBytes else {
      throw LogError(
        .recordTooLarge, "a record has \(batch.longestRecord) bytes; the log takes at most \(configuration.recordBytes)"
      )
    }
    guard batch.byteCount <= configuration.batchBytes else {
      throw LogError(
        .batchTooLarge, "the batch has \(batch.byteCount) bytes; one append takes at most \(configuration.batchBytes)")
    }
  }

  func waitForRoom(for batch: RecordBatch) async -> Bool {
    let id = monitor.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let start = observation.start()
    defer { observation.tell(since: start) { .waitedForRoom(duration: $0) } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = monitor.withLock { state in
          if Task.isCancelled { return false }
          if state.queue.hasRoom(for: batch) || state.isFinished { return true }
          state.forRoom.append((id, continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = monitor.withLock { state in
        let found = state.forRoom.first { $0.id == id }
        state.forRoom.removeAll { $0.id == id }
        return found?.continuation
      }
      waiter?.resume(returning: false)
    }
  }

  // MARK: The thread

  private enum Step {
    case commit([AppendQueue<Waiter?>.Pending], wakes: [CheckedContinuation<Bool, Never>])
    case sync([CheckedContinuation<LogError?, Never>])
    case finish
  }

  private func run(_ writer: LogWriter) {
    // A thread of its own: filling a segment with zeros takes a while, and cursors must not wait for it.
    let filler = Worker(name: "penstock-fill")
    let sealer = writer.sealer.map {
      BackgroundSealer($0, writer.view, logger: writer.logger, observation: observation)
    }
    var hasAskedForNext = false
    var segment = writer.segment
    loop: while true {
      let step: Step = monitor.wait { state in
        switch state.queue.next() {
        case .commit(let group):
          defer { state.forRoom.removeAll() }
          return .commit(group, wakes: state.forRoom.map(\.continuation))
        case .wait:
          guard !state.syncWaiters.isEmpty else { return nil }
          defer { state.syncWaiters = [] }
          return .sync(state.syncWaiters)
        case .parked: return nil
        case .finish: return .finish
        }
      }
      switch step {
      case .commit(let group, let wakes):
        for wake in wakes { wake.resume(returning: true) }
        commit(group, writer)
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
        for waiter in waiters { waiter.resume(returning: failure) }
      case .finish: break loop
      }
    }
    // Before the lock is let go of: another writer may take over then.
    sealer?.stop()
    let failure = capture { () throws(LogError) in try writer.close() }
    closingError.withLock { $0 = failure }
    observation.tell(.closed(failure))
    let poison = writer.failure
    let (finished, waiting, syncing) = monitor.withLock { state in
      state.isFinished = true
      state.poison = poison
      defer {
        state.whenFinished = []
        state.forRoom = []
        state.syncWaiters = []
      }
      return (state.whenFinished, state.forRoom.map(\.continuation), state.syncWaiters)
    }
    for waiter in waiting { waiter.resume(returning: true) }
    // A poisoned writer closes without a word, but it has not synced.
    for waiter in syncing { waiter.resume(returning: failure ?? poison) }
    for waiter in finished { waiter.resume() }
  }

  private func capture(_ body: () throws(LogError) -> Void) -> LogError? {
    do throws(LogError) {
      try body()
      return nil
    } catch {
      return error
    }
  }

  private func commit(_ group: [AppendQueue<Waiter?>.Pending], _ writer: LogWriter) {
    let wantsDisk =
      configuration.durability == .disk || group.contains { $0.durability == .disk }
    var isPartlyTold = false
    do throws(LogError) {
      let offsets = try writer.write(group.lazy.map(\.batch))
      precondition(offsets.lowerBound == group[0].first, "the queue and the writer disagree about offsets")
      if !wantsDisk { try writer.publish() }
      tell(group) { $0 < .disk }
      isPartlyTold = true
      if wantsDisk {
        try writer.synchronize()
        try writer.publish()
      }
      let queuedBytes = monitor.withLock { state in
        state.queue.completed()
        return state.queue.queuedBytes
      }
      tell(group) { $0 == .disk }
      report(group, offsets, queuedBytes: queuedBytes)
    } catch {
      if error.code == .noSpace {
        if configuration.whenFull == .wait, park(group) { return }
        trim { _ in }
      }
      let (behind, wakes) = writer.producers.abandon(because: error) {
        monitor.withLock { state in
          defer { state.forRoom.removeAll() }
          let wakes = state.forRoom.map(\.continuation)
          return (
            error.code == .noSpace ? state.queue.ranOutOfSpace(end: writer.end) : state.queue.fail(error), wakes
          )
        }
      }
      // The queue is empty: nobody else would tell them that there is room.
      for wake in wakes { wake.resume(returning: true) }
      let untold = group.filter { !isPartlyTold || $0.durability == .disk }
      for pending in untold + behind { pending.ticket?.resume(.failure(error)) }
      observation.tell(.failed(appends: untold.count + behind.count, error.code))
    }
  }

  /// Keeps the group, and all behind it, until there is room on the disk. False when the log is being closed.
  private func park(_ group: [AppendQueue<Waiter?>.Pending]) -> Bool {
    let withdrawn: [AppendQueue<Waiter?>.Pending]? = monitor.withLock { state in
      guard state.queue.park(group) else { return nil }
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
  func lookForRoom() {
    monitor.withLock { $0.queue.unpark() }
    monitor.signal()
  }

  private func tell(_ group: [AppendQueue<Waiter?>.Pending], _ applies: (Durability) -> Bool) {
    for pending in group where applies(pending.durability) {
      pending.ticket?.resume(.success(Receipt(offsets: pending.offsets, durability: pending.durability)))
    }
  }
}
