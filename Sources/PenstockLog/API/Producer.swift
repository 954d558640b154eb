/// A named source of appends that may send each of them again without ever appending it twice.
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
/// Appends are numbered 1, 2, 3, … one number for each call. The number, and with it an opaque *source position* of up to 64
/// bytes, is written in the block with the records: after any crash all three are there, or none is.
///
/// The log remembers a bounded number of producers (``LogConfiguration/maxProducers``); where it may have forgotten, it says so
/// (``history``) and takes nothing until told how far the producer got (``resume(after:)``).
public final class Producer: Sendable {
  /// What the log knew of the producer when it was taken.
  public enum History: String, Hashable, Sendable, Codable {
    /// It has never appended.
    case none
    /// ``Producer/lastSequence`` is the number of its newest append.
    case known
    /// Appends may have been forgotten, because the producer was evicted, or because records are lost:
    /// ``Producer/lastSequence`` may be missing or too low.
    case uncertain
  }

  public let name: String
  /// This holder's number; a later holder's is higher, over restarts too.
  public let epoch: UInt64
  public let history: History
  private let registry: ProducerRegistry
  private let committer: Committer
  private let keeper: LogLifetime?

  init(_ name: String, epoch: UInt64, _ registry: ProducerRegistry, _ committer: Committer, _ keeper: LogLifetime?) {
    self.keeper = keeper
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
  /// Its records' offsets, where they are remembered.
  public var lastOffsets: Range<Offset>? { registry.entry(name)?.recent.last?.offsets }
  /// The source position it was given; empty before the first.
  public var source: [UInt8] { registry.entry(name)?.source ?? [] }
  /// Whether the producer has never appended.
  public var isNew: Bool { history == .none }

  /// Appends the batch as number `sequence`, all of it or nothing, unless it was appended before; returns when it is as safe as
  /// the log was configured (at least `.kernel`).
  ///
  /// - The next number: appended.
  /// - A number appended before, or under way: nothing is written. The first receipt, marked
  ///   ``Receipt/isDuplicate``; where its offsets are forgotten (all but the newest 16), `.duplicate` is thrown, which means:
  ///   the records are in the log. The batch is not compared with the first one.
  /// - A later number: `.outOfSequence`, naming the one expected.
  ///
  /// The next number may be offered while this one is under way, but not before it was offered. When one fails, those behind it
  /// fail too.
  ///
  /// Also throws `.fenced` when a later holder has the producer, `.unknownProducer` where its appends may have been forgotten,
  /// `.sourceTooLarge`, and what ``Log/append(_:durability:)-(RecordBatch,_)`` throws. After `.poisoned` it is open whether the
  /// batch is in the log: open the log again, take the producer, and append it under the same number.
  @discardableResult
  nonisolated(nonsending) public func append(
    _ batch: RecordBatch, sequence: UInt64, source: [UInt8] = []
  ) async throws(LogError) -> Receipt {
    guard source.count <= ProducerTable.maxSourceBytes else {
      throw LogError(
        .sourceTooLarge,
        "the source position has \(source.count) bytes; at most \(ProducerTable.maxSourceBytes) are kept")
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
      // Whoever has room first queues for all of the line, in order.
      var turn: AdmissionTicket?
      while let first = registry.push(append, to: committer, turn: turn) {
        turn = await committer.waitForRoom(for: first.batch)
        if turn == nil, registry.withdraw(append) { break }
      }
      return try await append.result().get()
    }
  }

  /// Says that `sequence` was this producer's newest append (0: there was none), where the log may have forgotten. From what
  /// the caller knows, or from a look into the log; a wrong answer appends twice, or leaves out.
  ///
  /// Throws `.illegalMove` when the log knows better, or while an append is under way.
  public func resume(after sequence: UInt64) throws(LogError) {
    try registry.resume(name, epoch: epoch, after: sequence)
  }
}

extension Log {
  /// Takes the named producer. An earlier holder is fenced off: what it has under way is awaited, everything later refused.
  ///
  /// Writes nothing. Throws `.invalidName` and `.tooManyProducers`, when all of ``LogConfiguration/maxProducers`` are in use;
  /// otherwise a new producer takes the place of the one that was least recently used.
  public func producer(named name: String) async throws(LogError) -> Producer {
    try CursorStore.validate(name, of: "producer")
    let (epoch, underWay) = try producers.open(name)
    for append in underWay { _ = await append.result() }
    return Producer(name, epoch: epoch, producers, committer, parts.lifetime)
  }
}
