internal import Synchronization

extension Committer {
  /// Returns when the batch is as safe as asked. Waits for space in the queue; cancelling that wait writes nothing.
  /// Once the batch is in the queue it is written, cancelled or not.
  func append(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    var admission: AdmissionTicket?
    while true {
      let receipt =
        configuration.whenFull == .wait
        ? try await offerCancellably(batch, durability, admission)
        : try await offer(batch, durability, admission)
      if let receipt { return receipt }
      admission = await waitForSpace(for: batch)
      guard admission != nil else { throw LogError(.cancelled, "the append was cancelled; nothing was written") }
    }
  }

  /// Like ``append(_:_:)``, but throws `.overloaded` where that would wait for space in the queue.
  func tryAppend(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    if let receipt = try await offer(batch, durability, isImpatient: true) { return receipt }
    throw overloaded
  }

  /// Accepts the batch, or returns why not, without waiting for anything.
  func appendWithoutWaiting(_ batch: RecordBatch) throws(LogError) -> Receipt {
    try check(batch)
    switch change({ $0.offer(batch, .accepted, nil, admission: nil) }) {
    case .accepted(let offsets): return Receipt(offsets: offsets, durability: .accepted)
    case .full: throw overloaded
    case .refused(let error): throw error
    }
  }

  private var overloaded: LogError {
    LogError(.overloaded, "\(configuration.queueBytes) bytes already wait to be written; try again later")
  }

  /// One continuation for the whole append: the commit resumes it, or, when there is no space, this call with nil.
  private func offer(
    _ batch: RecordBatch, _ durability: Durability, _ admission: AdmissionTicket? = nil, id: UInt64 = 0,
    isImpatient: Bool = false
  ) async throws(LogError) -> Receipt? {
    let answer: Result<Receipt, LogError>? = await withCheckedContinuation { continuation in
      let waiter = Waiter(id: id, isImpatient: isImpatient, since: observation.start()) {
        continuation.resume(returning: $0)
      }
      let (offer, withdrawn) = change { state in
        let offer = state.offer(batch, durability, durability == .accepted ? nil : waiter, admission: admission)
        return (offer, state.withdraw())
      }
      answerWithdrawn(withdrawn)
      switch offer {
      case .accepted(let offsets):
        if durability == .accepted {
          continuation.resume(returning: .success(Receipt(offsets: offsets, durability: .accepted)))
        }
      case .full: continuation.resume(returning: nil)
      case .refused(let error): continuation.resume(returning: .failure(error))
      }
    }
    return try answer?.get()
  }

  /// An append that can be taken back while the disk is full. It is more expensive, so it is used only where appends
  /// wait for space.
  private func offerCancellably(
    _ batch: RecordBatch, _ durability: Durability, _ admission: AdmissionTicket?
  ) async throws(LogError) -> Receipt? {
    let id = monitor.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    defer { monitor.withLock { _ = $0.cancelled.remove(id) } }
    let answer: Result<Receipt?, LogError> = await withTaskCancellationHandler {
      do throws(LogError) {
        return .success(try await offer(batch, durability, admission, id: id))
      } catch {
        return .failure(error)
      }
    } onCancel: {
      let withdrawn = change { state in
        state.cancelled.insert(id)
        return state.withdraw()
      }
      answerWithdrawn(withdrawn)
    }
    return try answer.get()
  }

  func answerWithdrawn(_ withdrawn: [Queue.Pending]) {
    for pending in withdrawn {
      let error =
        pending.ticket?.isImpatient == true
        ? LogError(.noSpace, "the disk is full, and appends wait for space")
        : LogError(.cancelled, "the append was cancelled; nothing was written")
      pending.ticket?.resume(.failure(error))
    }
  }

  /// How safe a producer's append is when it returns.
  var producersDurability: Durability { max(configuration.durability, .kernel) }

  /// Accepts a producer's append, or returns why not, without waiting.
  func offerNow(_ batch: RecordBatch, _ waiter: Waiter, _ admission: AdmissionTicket?) -> Queue.Offer {
    change { $0.offer(batch, producersDurability, waiter, admission: admission) }
  }

  /// Returns an unused ticket.
  func giveBack(_ admission: AdmissionTicket) { change { $0.admissions.end(admission) } }

  /// The end of what the queue has accepted, and how many appends wait for space in it. For tests of the order.
  var queueStatus: (accepted: Offset, waiting: Int) {
    monitor.withLock { ($0.queue.acceptedEnd, $0.admissions.count) }
  }

  func check(_ batch: RecordBatch) throws(LogError) {
    guard !batch.isEmpty else { throw LogError(.emptyBatch, "a batch must hold at least one record") }
    guard batch.longestRecord <= configuration.recordBytes else {
      throw LogError(
        .recordTooLarge,
        "record \(batch.longestIndex) of the batch, counted from 0, has \(batch.longestRecord) bytes; the log takes at"
          + " most \(configuration.recordBytes)")
    }
    guard batch.byteCount <= configuration.batchBytes else {
      throw LogError(
        .batchTooLarge, "the batch has \(batch.byteCount) bytes; one append takes at most \(configuration.batchBytes)")
    }
  }

  /// Waits until there is space for the batch; the caller offers it with the returned ticket. Nil when the task was
  /// cancelled before it was admitted.
  func waitForSpace(for batch: RecordBatch) async -> AdmissionTicket? {
    let start = observation.start()
    defer { observation.tell(since: start) { .waitedForRoom(duration: $0) } }
    let joined = Mutex<AdmissionTicket?>(nil)
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = change { state in
          // A cancellation comes before this, or finds a ticket to give up.
          joined.withLock { ticket in
            if Task.isCancelled { return true }
            ticket = state.admissions.join(batch.payload.count, continuation)
            return false
          }
        }
        if isCancelled { continuation.resume(returning: nil) }
      }
    } onCancel: {
      let waiter = change { state in joined.withLock { $0 }.flatMap { state.admissions.leave($0) } }
      waiter?.resume(returning: nil)
    }
  }
}
