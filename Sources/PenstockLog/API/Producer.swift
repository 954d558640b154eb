/// A named source of appends. It may send each of them again, and the log appends none twice.
///
/// ```swift
/// let importer = try await log.producer(named: "importer")
/// var sequence = (importer.lastSequence ?? 0) + 1
/// for batch in input.batches(after: importer.source) {            // where the log says it got
///   try await importer.append(batch, sequence: sequence, source: batch.endPosition)
///   sequence += 1
/// }
/// ```
///
/// Appends are numbered 1, 2, 3, … one number for each call. The block holds the number with the records, and an opaque
/// *source position* of up to 64 bytes. After any crash all three are there, or none is.
///
/// The log remembers a bounded number of producers (``LogConfiguration/maxProducers``). Where it may have forgotten
/// appends, ``history`` says so, and the log refuses appends until ``resume(after:)`` states how far the producer got.
/// No method blocks the calling thread.
public final class Producer: Sendable {
  /// What the log knew of the producer when it was taken.
  public enum History: String, Hashable, Sendable, Codable {
    /// It has never appended.
    case none
    /// ``Producer/lastSequence`` is the number of its newest append.
    case known
    /// The log may have forgotten appends, because it evicted the producer, or because records are lost:
    /// ``Producer/lastSequence`` may be missing or too low.
    case uncertain
  }

  /// The producer's name.
  public let name: String
  /// This holder's number; a later holder's is higher, also after restarts.
  public let epoch: UInt64
  /// What the log knew of the producer when it was taken.
  public let history: History
  private let registry: ProducerRegistry
  private let committer: Committer
  private let lifetime: LogLifetime?

  init(
    _ name: String, epoch: UInt64, _ registry: ProducerRegistry, _ committer: Committer, _ lifetime: LogLifetime?
  ) {
    self.lifetime = lifetime
    self.name = name
    self.epoch = epoch
    self.registry = registry
    self.committer = committer
    let entry = registry.entry(name)
    history = entry?.isUncertain != false ? .uncertain : entry?.last == 0 ? .none : .known
  }

  deinit { registry.release(name, epoch: epoch) }

  /// The number of the newest acknowledged append; nil before the first.
  public var lastSequence: UInt64? { registry.entry(name).flatMap { $0.last > 0 ? $0.last : nil } }
  /// Whether the log may have forgotten appends of it, now.
  package var isForgotten: Bool { registry.entry(name)?.isUncertain != false }
  /// The offsets of that append's records, where the log remembers them.
  public var lastOffsets: Range<Offset>? { registry.entry(name)?.recent.last?.offsets }
  /// The source position of that append; empty before the first.
  public var source: [UInt8] { registry.entry(name)?.source ?? [] }
  /// Whether the producer has never appended.
  public var isNew: Bool { history == .none }

  /// Appends the batch as number `sequence`, all of it or nothing, unless it was appended before. Returns when it is as
  /// safe as the log was configured (at least `.kernel`).
  ///
  /// - The next number: appended.
  /// - A number that was appended before, or is in flight: nothing is written. It returns the first receipt, marked
  ///   ``Receipt/isDuplicate``. If the log has forgotten its offsets (all but the newest 16), it throws `.duplicate`,
  ///   which means: the records are in the log. The batch is not compared with the first one.
  /// - A later number: throws `.outOfSequence`, naming the expected number.
  ///
  /// A caller may append the next number while this one is in flight, but not before this one was offered. When one
  /// fails, the later ones fail too.
  ///
  /// Also throws `.fenced` when a later holder has the producer, `.unknownProducer` where the log may have forgotten
  /// appends, `.sourceTooLarge`, and what ``Log/append(_:durability:)-(RecordBatch,_)`` throws. After `.poisoned` it is
  /// unknown whether the batch is in the log: open the log again, take the producer, and append it under the same
  /// number.
  @discardableResult
  nonisolated(nonsending) public func append(
    _ batch: RecordBatch, sequence: UInt64, source: [UInt8] = []
  ) async throws(LogError) -> Receipt {
    guard source.count <= ProducerTable.maxSourceBytes else {
      throw LogError(
        .sourceTooLarge,
        "the source position has \(source.count) bytes; it may have at most \(ProducerTable.maxSourceBytes)")
    }
    try committer.check(batch)
    let mark = ProducerMark(name: name, epoch: epoch, sequence: sequence, source: source)
    var batch = batch
    batch.producer = mark
    switch try registry.offer(batch, mark) {
    case .known(let offsets):
      return Receipt(offsets: offsets, durability: committer.producersDurability, isDuplicate: true)
    case .other(let first):
      var receipt = try await first.result().get()
      receipt.isDuplicate = true
      return receipt
    case .own(let append):
      // An admitted append queues all waiting ones of the producer, in order.
      var admission: AdmissionTicket?
      while let first = registry.push(append, to: committer, admission) {
        admission = await committer.waitForSpace(for: first.batch)
        if admission == nil, registry.withdraw(append) { break }
      }
      return try await append.result().get()
    }
  }

  /// States that `sequence` was this producer's newest append (0: there was none), where the log may have forgotten.
  /// The caller knows it, or finds it in the log. A wrong number appends records twice, or omits some.
  ///
  /// Throws `.illegalMove` when the log knows a different number, or while an append is in flight.
  public func resume(after sequence: UInt64) throws(LogError) {
    try registry.resume(name, epoch: epoch, after: sequence)
  }
}

extension Log {
  /// Takes the named producer. An earlier holder is fenced: this call waits for its appends in flight, and the log
  /// refuses all later ones.
  ///
  /// Writes nothing. When the log remembers ``LogConfiguration/maxProducers`` producers, a new one replaces the least
  /// recently used. Throws `.invalidName`, and `.tooManyProducers` when all of them are in use.
  public func producer(named name: String) async throws(LogError) -> Producer {
    try CursorStore.validate(name, of: "producer")
    let (epoch, inFlight) = try producers.open(name)
    for append in inFlight { _ = await append.result() }
    return Producer(name, epoch: epoch, producers, committer, parts.lifetime)
  }
}
