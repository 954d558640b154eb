internal import Synchronization

/// The producers of an open log. It guards ``ProducerTable`` with a lock: the handles offer appends, and the writer
/// reports their results.
///
/// Lock order: this one, then the committer's. Appends are offered, queued and abandoned under it. So a producer's
/// appends are in the queue in the order of their sequences, and none follows one that failed.
package final class ProducerRegistry: Sendable {
  private struct Key: Hashable {
    let name: String
    let sequence: UInt64

    init(_ append: PendingAppend) {
      name = append.mark.name
      sequence = append.mark.sequence
    }
  }

  private struct State {
    var table: ProducerTable
    var snapshotEnd: Offset
    /// Appends in flight or waiting for space, for the callers that wait for them.
    var pending: [Key: PendingAppend] = [:]
    /// Appends that found the queue full, per producer in order; those of one producer have consecutive sequences.
    var queued: [String: [PendingAppend]] = [:]

    /// The first waiting append is in the queue.
    mutating func advance(_ name: String) {
      queued[name]?.removeFirst()
      if queued[name]?.isEmpty == true { queued[name] = nil }
    }
  }
  private let state: Mutex<State>

  init(_ table: ProducerTable, snapshotEnd: Offset) {
    state = Mutex(State(table: table, snapshotEnd: snapshotEnd))
  }

  /// What the log knows of the producer.
  package func entry(_ name: String) -> ProducerTable.Entry? { state.withLock { $0.table.entries[name] } }
  /// Whether every producer that is not known has never appended.
  package var isComplete: Bool { state.withLock { $0.table.isComplete } }
  var count: Int { state.withLock { $0.table.entries.count } }

  // MARK: The writer's side

  var isTrivial: Bool { state.withLock { $0.table.isTrivial } }
  package var table: ProducerTable { state.withLock { $0.table } }
  /// Recovery reads no block below this for producers: a durable snapshot covers them, or there are none.
  var snapshotEnd: Offset { state.withLock { $0.snapshotEnd } }
  func note(snapshotEnd end: Offset) { state.withLock { $0.snapshotEnd = end } }

  /// A visible block with producers' records.
  struct Written: Sendable {
    let trailer: ProducerTrailer
    let offsets: Range<Offset>
  }

  func apply(_ blocks: [Written]) {
    guard !blocks.isEmpty else { return }
    state.withLock { state in
      for block in blocks {
        state.table.apply(block.trailer, at: block.offsets.lowerBound, upTo: block.offsets.upperBound)
      }
    }
  }

  /// No append in the queue will be written: `emptying` empties it, and no producer's append enters meanwhile.
  func abandon<Result>(because error: LogError, emptying body: () -> Result) -> Result {
    let (result, waiting) = state.withLock { state in
      defer { state.queued = [:] }
      let result = body()
      state.table.abandon()
      let waiting = state.queued.values.joined()
      for append in waiting { state.pending[Key(append)] = nil }
      return (result, Array(waiting))
    }
    for append in waiting { append.settle(.failure(error)) }
    return result
  }
}

// MARK: The handles' side

extension ProducerRegistry {
  /// Takes the producer: its earlier holder is refused from now on. Returns the epoch, and the earlier holder's appends
  /// in flight.
  func open(_ name: String) throws(LogError) -> (epoch: UInt64, inFlight: [PendingAppend]) {
    let (epoch, dropped, inFlight) = try state.withLock { state throws(LogError) in
      let epoch: UInt64
      do throws(ProducerTable.Refusal) {
        epoch = try state.table.open(name)
      } catch {
        throw LogError(error, producer: name)
      }
      // They are not in the queue yet, and stop waiting for space.
      let dropped = state.queued.removeValue(forKey: name) ?? []
      if let first = dropped.first { state.table.withdraw(name, from: first.mark.sequence) }
      for append in dropped { state.pending[Key(append)] = nil }
      return (epoch, dropped, state.pending.filter { $0.key.name == name }.map(\.value))
    }
    for append in dropped {
      append.settle(.failure(LogError(.fenced(held: epoch, attempted: append.mark.epoch), producer: name)))
    }
    return (epoch, inFlight)
  }

  func release(_ name: String, epoch: UInt64) { state.withLock { $0.table.release(name, epoch: epoch) } }

  func resume(_ name: String, epoch: UInt64, after sequence: UInt64) throws(LogError) {
    try state.withLock { state throws(LogError) in
      do throws(ProducerTable.Refusal) {
        try state.table.resume(name, epoch: epoch, after: sequence)
      } catch {
        throw LogError(error, producer: name)
      }
    }
  }

  enum Offer {
    /// New: in the queue, or waiting for space in it.
    case own(PendingAppend)
    /// The same append, already in flight.
    case other(PendingAppend)
    case known(Range<Offset>)
  }

  func offer(_ batch: RecordBatch, _ mark: ProducerMark) throws(LogError) -> Offer {
    let append = PendingAppend(batch, mark)
    let offer: Offer = try state.withLock { state throws(LogError) in
      switch state.table.offer(mark.name, epoch: mark.epoch, sequence: mark.sequence) {
      case .append:
        state.pending[Key(append)] = append
        state.queued[mark.name, default: []].append(append)
        return .own(append)
      case .inFlight:
        guard let first = state.pending[Key(append)] else {
          throw LogError(.closed, "the first append of this number is failing; try again")
        }
        return .other(first)
      case .known(let offsets): return .known(offsets)
      case .forgotten:
        throw LogError(
          .duplicate, "\(mark.name) has already appended \(mark.sequence); its offsets are no longer remembered")
      case .refused(let refusal): throw LogError(refusal, producer: mark.name)
      }
    }
    return offer
  }

  /// Queues the producer's waiting appends, as far as there is space; returns the first that must wait, if `append`
  /// waits after it. `admission` holds space for the first.
  @discardableResult
  func push(_ append: PendingAppend, to committer: Committer, _ admission: AdmissionTicket?) -> PendingAppend? {
    let name = append.mark.name
    var admission = admission
    defer { if let admission { committer.giveBack(admission) } }
    let (refused, error, first) = state.withLock { state -> ([PendingAppend], LogError?, PendingAppend?) in
      while let first = state.queued[name]?.first {
        let waiter = Committer.Waiter(since: committer.observation.start()) { [self] result in finish(first, result) }
        defer { admission = nil }
        switch committer.offerNow(first.batch, waiter, admission) {
        case .accepted: state.advance(name)
        case .full: return ([], nil, state.queued[name]?.contains { $0 === append } == true ? first : nil)
        case .refused(let error):
          state.table.withdraw(name, from: first.mark.sequence)
          let refused = state.queued.removeValue(forKey: name) ?? []
          for append in refused { state.pending[Key(append)] = nil }
          return (refused, error, nil)
        }
      }
      return ([], nil, nil)
    }
    if let error { for append in refused { append.settle(.failure(error)) } }
    return first
  }

  /// Removes a waiting append and those after it; false when it is already in the queue.
  func withdraw(_ append: PendingAppend) -> Bool {
    let dropped: [PendingAppend] = state.withLock { state in
      let waiting = state.queued[append.mark.name] ?? []
      guard let place = waiting.firstIndex(where: { $0 === append }) else { return [] }
      state.queued[append.mark.name] = place == 0 ? nil : Array(waiting[..<place])
      state.table.withdraw(append.mark.name, from: append.mark.sequence)
      for dropped in waiting[place...] { state.pending[Key(dropped)] = nil }
      return Array(waiting[place...])
    }
    for (index, other) in dropped.enumerated() {
      other.settle(
        .failure(
          index == 0
            ? LogError(.cancelled, "the append was cancelled; nothing was written")
            : LogError(.outOfSequence(expected: append.mark.sequence), producer: append.mark.name)))
    }
    return !dropped.isEmpty
  }

  private func finish(_ append: PendingAppend, _ result: Result<Receipt, LogError>) {
    state.withLock { state in
      if state.pending[Key(append)] === append { state.pending[Key(append)] = nil }
    }
    append.settle(result)
  }
}

/// An append in flight, and all callers that wait for it.
final class PendingAppend: Sendable {
  let batch: RecordBatch
  let mark: ProducerMark
  private struct State {
    var result: Result<Receipt, LogError>?
    var waiting: [CheckedContinuation<Result<Receipt, LogError>, Never>] = []
  }
  private let state = Mutex(State())

  init(_ batch: RecordBatch, _ mark: ProducerMark) {
    self.batch = batch
    self.mark = mark
  }

  func settle(_ result: Result<Receipt, LogError>) {
    let waiting = state.withLock { state in
      if state.result == nil { state.result = result }
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: result) }
  }

  func result() async -> Result<Receipt, LogError> {
    await withCheckedContinuation { continuation in
      let result = state.withLock { state in
        if state.result == nil { state.waiting.append(continuation) }
        return state.result
      }
      if let result { continuation.resume(returning: result) }
    }
  }
}

extension LogError {
  init(_ refusal: ProducerTable.Refusal, producer name: String) {
    switch refusal {
    case .unknown:
      self.init(.unknownProducer, "the log no longer knows producer \(name); take it again", cause: refusal)
    case .uncertain(let last):
      self.init(
        .unknownProducer,
        "the log may have forgotten appends of producer \(name) (the newest it knows is \(last)); find the newest one "
          + "and call resume(after:)", cause: refusal)
    case .fenced(let held, let attempted):
      self.init(
        .fenced, "another holder took producer \(name) (epoch \(held); this holder has epoch \(attempted))",
        cause: refusal)
    case .outOfSequence(let expected):
      self.init(.outOfSequence, "producer \(name) must append \(expected) next", cause: refusal)
    case .full(let capacity):
      self.init(.tooManyProducers, "all \(capacity) producers that the log remembers are in use", cause: refusal)
    case .cannotResume(let last, let reserved):
      self.init(
        .illegalMove, "producer \(name) has appended \(last)\(reserved > last ? ", \(reserved) is in flight" : "")",
        cause: refusal)
    }
  }
}
