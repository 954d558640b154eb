extension Committer {
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
    throw overloaded
  }

  /// Takes the batch in, or says why not, without waiting for anything.
  func appendWithoutWaiting(_ batch: RecordBatch) throws(LogError) -> Receipt {
    try check(batch)
    switch change({ $0.queue.offer(batch, durability: .accepted, ticket: nil) }) {
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
    _ batch: RecordBatch, _ durability: Durability, id: UInt64 = 0, isImpatient: Bool = false
  ) async throws(LogError) -> Receipt? {
    let answer: Result<Receipt, LogError>? = await withCheckedContinuation { continuation in
      let waiter = Waiter(id: id, isImpatient: isImpatient, since: observation.start()) {
        continuation.resume(returning: $0)
      }
      let (offer, withdrawn) = change { state in
        let offer = state.queue.offer(batch, durability: durability, ticket: durability == .accepted ? nil : waiter)
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
    guard !withdrawn.isEmpty else { return }
    let waiting = monitor.withLock { state in
      defer { state.forRoom.removeAll() }
      return state.forRoom.map(\.continuation)
    }
    for waiter in waiting { waiter.resume(returning: true) }
  }

  /// How safe a producer's append is when it returns.
  var producersDurability: Durability { max(configuration.durability, .kernel) }

  /// Takes a producer's append in, or says why not, without waiting.
  func offerNow(_ batch: RecordBatch, _ waiter: Waiter) -> Queue.Offer {
    change { $0.queue.offer(batch, durability: producersDurability, ticket: waiter) }
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
}
