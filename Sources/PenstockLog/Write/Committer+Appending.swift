internal import Synchronization

extension Committer {
  /// Returns when the batch is as safe as asked. Waits for room; cancelling that wait leaves nothing behind, and once the
  /// batch is in the queue it is written, cancelled or not.
  func append(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    var turn: AdmissionTicket?
    while true {
      let receipt =
        configuration.whenFull == .wait
        ? try await offerCancellably(batch, durability, turn: turn) : try await offer(batch, durability, turn: turn)
      if let receipt { return receipt }
      turn = await waitForRoom(for: batch)
      guard turn != nil else { throw LogError(.cancelled, "the append was cancelled; nothing was written") }
    }
  }

  /// Like ``append(_:_:)``, but throws `.overloaded` where that would wait for room.
  func tryAppend(_ batch: RecordBatch, _ durability: Durability) async throws(LogError) -> Receipt {
    try check(batch)
    if let receipt = try await offer(batch, durability, isImpatient: true) { return receipt }
    throw overloaded
  }

  /// Takes the batch in, or says why not, without waiting for anything.
  func appendWithoutWaiting(_ batch: RecordBatch) throws(LogError) -> Receipt {
    try check(batch)
    switch change({ $0.offer(batch, .accepted, nil, turn: nil) }) {
    case .accepted(let offsets): return Receipt(offsets: offsets, durability: .accepted)
    case .full: throw overloaded
    case .refused(let error): throw error
    }
  }

  private var overloaded: LogError {
    LogError(.overloaded, "\(configuration.queueBytes) bytes wait to be written already; try again later")
  }

  /// One continuation for the whole append: resumed by the commit, or at once with nil when there is no room.
  private func offer(
    _ batch: RecordBatch, _ durability: Durability, turn: AdmissionTicket? = nil, id: UInt64 = 0,
    isImpatient: Bool = false
  ) async throws(LogError) -> Receipt? {
    let answer: Result<Receipt, LogError>? = await withCheckedContinuation { continuation in
      let waiter = Waiter(id: id, isImpatient: isImpatient, since: observation.start()) {
        continuation.resume(returning: $0)
      }
      let (offer, withdrawn) = change { state in
        let offer = state.offer(batch, durability, durability == .accepted ? nil : waiter, turn: turn)
        return (offer, state.withdraw())
      }
      tellWithdrawn(withdrawn)
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

  /// An append that can be taken back while the disk is full. Dearer, so only where appends wait for that.
  private func offerCancellably(
    _ batch: RecordBatch, _ durability: Durability, turn: AdmissionTicket?
  ) async throws(LogError) -> Receipt? {
    let id = monitor.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    defer { monitor.withLock { _ = $0.cancelled.remove(id) } }
    let answer: Result<Receipt?, LogError> = await withTaskCancellationHandler {
      do throws(LogError) {
        return .success(try await offer(batch, durability, turn: turn, id: id))
      } catch {
        return .failure(error)
      }
    } onCancel: {
      let withdrawn = change { state in
        state.cancelled.insert(id)
        return state.withdraw()
      }
      tellWithdrawn(withdrawn)
    }
    return try answer.get()
  }

  func tellWithdrawn(_ withdrawn: [Queue.Pending]) {
    for pending in withdrawn {
      let error =
        pending.ticket?.isImpatient == true
        ? LogError(.noSpace, "the disk is full, and appends wait for room")
        : LogError(.cancelled, "the append was cancelled; nothing was written")
      pending.ticket?.resume(.failure(error))
    }
  }

  /// How safe a producer's append is when it returns.
  var producersDurability: Durability { max(configuration.durability, .kernel) }

  /// Takes a producer's append in, or says why not, without waiting.
  func offerNow(_ batch: RecordBatch, _ waiter: Waiter, turn: AdmissionTicket?) -> Queue.Offer {
    change { $0.offer(batch, producersDurability, waiter, turn: turn) }
  }

  /// A turn that nothing was offered with.
  func giveBack(_ turn: AdmissionTicket) { change { $0.line.end(turn) } }

  /// What the queue has taken in, and how many wait for room: for tests that must know who stands where.
  package var standing: (accepted: Offset, inLine: Int) {
    monitor.withLock { ($0.queue.acceptedEnd, $0.line.count) }
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

  /// Waits in line until there is room for the batch: offer it with the turn that is returned. Nil when the task was cancelled
  /// before it was its turn.
  func waitForRoom(for batch: RecordBatch) async -> AdmissionTicket? {
    let start = observation.start()
    defer { observation.tell(since: start) { .waitedForRoom(duration: $0) } }
    let place = Mutex<AdmissionTicket?>(nil)
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = change { state in
          // Whoever cancels comes before this or finds a place to leave.
          place.withLock { place in
            if Task.isCancelled { return true }
            place = state.line.join(batch.payload.count, continuation)
            return false
          }
        }
        if isCancelled { continuation.resume(returning: nil) }
      }
    } onCancel: {
      let waiter = change { state in place.withLock { $0 }.flatMap { state.line.leave($0) } }
      waiter?.resume(returning: nil)
    }
  }
}
