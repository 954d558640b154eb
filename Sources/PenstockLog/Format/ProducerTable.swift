/// What the log knows of its producers, and which appends it may accept from them. A pure value; ``ProducerRegistry``
/// performs what it answers.
///
/// A producer's numbering: `last` is the newest append that readers see, `reserved` the newest accepted one. The
/// appends between them are in flight. Both are 0 before the first append, whose sequence is 1.
///
/// Legal moves
/// - ``open(_:)``: a new handle with a higher epoch; from then on the earlier handle is refused.
/// - ``offer(_:epoch:sequence:)``: `reserved + 1` of a certain producer is accepted (and reserved). Up to `last`, it is
///   a duplicate; up to `reserved`, it is in flight; any other sequence is refused.
/// - ``apply(_:at:upTo:)``: appends of a block became visible. ``abandon()``: none of those in flight ever will.
/// - ``withdraw(_:from:)``: the appends from a sequence on were never queued. ``release(_:epoch:)``: the handle has
///   ended.
/// - ``lose(upTo:)``: records of unknown producers are lost. ``resume(_:epoch:after:)``: the caller knows the
///   producer's newest append.
///
/// Invariants (the exhaustive test checks them against a model with unbounded memory)
/// 1. A sequence that was applied, and not disowned by ``resume(_:epoch:after:)``, is never accepted again.
/// 2. An answer with offsets names the offsets of that append.
/// 3. Nothing is accepted from a producer whose appends may have been forgotten (*uncertain*). An eviction or a loss
///    makes a producer uncertain; ``resume(_:epoch:after:)`` or an applied append makes it certain again.
/// 4. At most `capacity` producers; one with an open handle or an append in flight is never evicted.
/// 5. Epochs rise.
package struct ProducerTable: Hashable, Sendable {
  /// Appends whose offsets the log remembers for each producer: 16.
  package static let remembered = 16
  /// 64 bytes.
  static let maxSourceBytes = 64

  package struct Append: Hashable, Sendable {
    package var sequence: UInt64
    package var offsets: Range<Offset>

    package init(sequence: UInt64, offsets: Range<Offset>) {
      self.sequence = sequence
      self.offsets = offsets
    }
  }

  package struct Entry: Hashable, Sendable {
    /// Of the present handle, or else of the newest append.
    package var epoch: UInt64 = 0
    package var last: UInt64 = 0
    var reserved: UInt64 = 0
    /// Of the newest append.
    package var source: [UInt8] = []
    /// The newest appends, oldest first.
    package var recent: [Append] = []
    /// Whether the log may have forgotten appends of this producer: `last` may be too low.
    package var isUncertain = false
    var isOpen = false
    /// One past the newest append's records: how recently it was used.
    package var usedAt = Offset.zero

    init() {}
    var isIdle: Bool { !isOpen && reserved == last }
  }

  package enum Refusal: Error, Hashable, Sendable {
    /// The table does not know the producer: it was evicted.
    case unknown
    /// The log may have forgotten earlier appends; `last` is the newest known one.
    case uncertain(last: UInt64)
    case fenced(held: UInt64, attempted: UInt64)
    case outOfSequence(expected: UInt64)
    /// Every one of the producers is in use.
    case full(capacity: Int)
    /// The producer is known to have appended more, or has appends in flight.
    case cannotResume(last: UInt64, reserved: UInt64)
  }

  package enum Answer: Hashable, Sendable {
    /// Write it; from now on it is in flight.
    case append
    /// The log holds it already, at these offsets.
    case known(Range<Offset>)
    /// The log holds it already; its offsets are forgotten.
    case forgotten
    /// It is being written.
    case inFlight
    case refused(Refusal)
  }

  let capacity: Int
  package private(set) var entries: [String: Entry] = [:]
  /// Whether every producer that is absent here has never appended.
  private(set) var isComplete = true
  /// The table covers all blocks below. Only recovery maintains it.
  private(set) var end = Offset.zero
  private var nextEpoch: UInt64 = 1

  init(capacity: Int, end: Offset = .zero) {
    self.capacity = capacity
    self.end = end
  }

  /// A table read back from stable storage. If the capacity has shrunk, it evicts the least recently used producers.
  init(capacity: Int, restoring entries: [String: Entry], isComplete: Bool, end: Offset) {
    self.capacity = capacity
    self.entries = entries
    self.isComplete = isComplete
    self.end = end
    while self.entries.count > capacity { evict() }
  }

  /// Whether it equals an empty log's table.
  var isTrivial: Bool { isComplete && !entries.contains { $0.value.last > 0 } }
}

// MARK: Handles

extension ProducerTable {
  /// From now on the table's epochs are higher than those of every earlier opening, because the log's own epoch is,
  /// durably. So raising a producer's epoch costs no write, and works on a full disk.
  mutating func begin(logEpoch: UInt32) { nextEpoch = UInt64(logEpoch) << 32 | 1 }

  /// Takes the producer for a new handle and returns its epoch. O(1); O(producers) when one must be evicted.
  package mutating func open(_ name: String) throws(Refusal) -> UInt64 {
    if entries[name] == nil {
      guard entries.count < capacity || evict() else { throw .full(capacity: capacity) }
      var fresh = Entry()
      fresh.isUncertain = !isComplete
      entries[name] = fresh
    }
    defer { nextEpoch += 1 }
    entries[name]?.epoch = nextEpoch
    entries[name]?.isOpen = true
    return nextEpoch
  }

  /// The handle has ended. Not an error if a later handle has taken the producer.
  mutating func release(_ name: String, epoch: UInt64) {
    guard let entry = entries[name], entry.epoch == epoch else { return }
    entries[name]?.isOpen = false
    forgetUnused(name)
  }

  /// A producer that never appended needs no entry.
  private mutating func forgetUnused(_ name: String) {
    if let entry = entries[name], entry.isIdle, entry.last == 0 { entries[name] = nil }
  }

  /// The caller knows that `sequence` was the producer's newest append (0: there was none).
  mutating func resume(_ name: String, epoch: UInt64, after sequence: UInt64) throws(Refusal) {
    guard var entry = entries[name] else { throw .unknown }
    guard entry.epoch == epoch else { throw .fenced(held: entry.epoch, attempted: epoch) }
    guard sequence >= entry.last, entry.reserved == entry.last, entry.isUncertain || sequence == entry.last else {
      throw .cannotResume(last: entry.last, reserved: entry.reserved)
    }
    if sequence != entry.last {
      entry.recent = []
      entry.source = []
    }
    entry.last = sequence
    entry.reserved = sequence
    entry.isUncertain = false
    entries[name] = entry
  }

  /// Forgets the producer that was least recently used; false when all are in use.
  @discardableResult
  private mutating func evict() -> Bool {
    let victim = entries.lazy.filter(\.value.isIdle).min {
      ($0.value.usedAt, $0.key) < ($1.value.usedAt, $1.key)
    }
    guard let victim else { return false }
    entries[victim.key] = nil
    isComplete = false
    return true
  }
}

// MARK: Appends

extension ProducerTable {
  /// Decides about one append. O(1).
  package mutating func offer(_ name: String, epoch: UInt64, sequence: UInt64) -> Answer {
    guard let entry = entries[name] else { return .refused(.unknown) }
    guard entry.epoch == epoch, entry.isOpen else { return .refused(.fenced(held: entry.epoch, attempted: epoch)) }
    guard sequence > 0 else { return .refused(.outOfSequence(expected: entry.reserved &+ 1)) }
    if sequence <= entry.last {
      guard let append = entry.recent.last(where: { $0.sequence == sequence }) else { return .forgotten }
      return .known(append.offsets)
    }
    if sequence <= entry.reserved { return .inFlight }
    if entry.isUncertain { return .refused(.uncertain(last: entry.last)) }
    guard sequence == entry.reserved + 1 else { return .refused(.outOfSequence(expected: entry.reserved + 1)) }
    entries[name]?.reserved = sequence
    return .append
  }

  /// The producer's appends from `sequence` on will not be written.
  mutating func withdraw(_ name: String, from sequence: UInt64) {
    guard let entry = entries[name], sequence > entry.last, sequence <= entry.reserved else { return }
    entries[name]?.reserved = sequence - 1
    forgetUnused(name)
  }

  /// No append in flight will be written.
  mutating func abandon() {
    for (name, entry) in entries where entry.reserved != entry.last {
      entries[name]?.reserved = entry.last
      forgetUnused(name)
    }
  }

  /// A block became visible, or recovery found it: `base ..< end` are its records. Appends below ``end`` are known
  /// already.
  mutating func apply(_ block: ProducerTrailer, at base: Offset, upTo end: Offset) {
    for item in block.entries {
      let newest = item.lastSequence
      let appends = item.runs.enumerated().map { index, run in
        Append(
          sequence: newest - UInt64(item.runs.count - 1 - index),
          offsets: (base + run.first)..<(base + run.first + run.count))
      }.filter { $0.offsets.lowerBound >= self.end }
      guard let first = appends.first, let last = appends.last else { continue }
      if entries[item.name] == nil, entries.count >= capacity { evict() }
      var entry = entries[item.name] ?? Entry()
      // A numbering that does not continue is a restart by a caller who knew that the log had forgotten.
      let continues = entry.last < newest && entry.last >= min(item.firstSequence, first.sequence) - 1
      entry.recent = Array(((continues ? entry.recent : []) + appends).suffix(Self.remembered))
      entry.epoch = max(entry.epoch, item.epoch)
      entry.last = newest
      entry.reserved = continues ? max(entry.reserved, newest) : newest
      entry.source = item.source
      entry.isUncertain = false
      entry.usedAt = last.offsets.upperBound
      entries[item.name] = entry
    }
    self.end = max(self.end, end)
  }

  /// Recovery: the blocks up to `end` name no producer.
  mutating func skip(upTo end: Offset) { self.end = max(self.end, end) }

  /// Recovery: records up to `end` are lost, and with them the names of their producers.
  mutating func lose(upTo end: Offset) {
    guard end > self.end else { return }
    isComplete = false
    for name in entries.keys { entries[name]?.isUncertain = true }
    self.end = end
  }
}
