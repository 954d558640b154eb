/// How many blocks a reader decodes before its consumer needs them.
public struct ReadAhead: Hashable, Sendable {
  let threads: Int

  /// The consumer reads and decompresses a block when it needs the block's first record.
  public static let none = ReadAhead(threads: 0)
  /// So many threads read and decompress the next blocks while the consumer handles earlier ones. A replay then uses as
  /// many processors as that, plus the consumer's. It holds at most two blocks for each thread, besides the consumer's.
  ///
  /// - Precondition: 1 to 64.
  public static func threads(_ count: Int) -> ReadAhead {
    precondition((1...64).contains(count), "1 to 64 threads read ahead")
    return ReadAhead(threads: count)
  }
}

/// Blocks in order that several workers decode at the same time, for one consumer. A pure value.
///
/// A slot is *planned*, then *in progress*, then *done*. One worker at a time plans: it asks the index for the block at
/// the slot's offset, because the next slot depends on the answer. The consumer takes the first slot when it is done.
/// Any other answer than a block (a gap, the end, a failure) ends the planning, and the consumer gets it in order.
///
/// Invariants: slots are in offset order; at most `depth` of them; a slot of an earlier ``restart(at:)`` is never
/// filled.
struct ReadAheadQueue<Outcome> {
  private struct Slot {
    let number: UInt64
    var outcome: Outcome?
  }
  private var slots: [Slot] = []
  private var number: UInt64 = 0
  private var isPlanning = false
  /// What to plan next; nil before the first restart and after the end.
  private var upcoming: Offset?
  private var generation: UInt64 = 0
  let depth: Int

  init(depth: Int) { self.depth = depth }

  /// A worker's task: decode what is at `offset`.
  struct Plan: Hashable {
    let offset: Offset
    fileprivate let generation: UInt64
    fileprivate let number: UInt64
  }

  /// Discards all slots and continues at `offset`.
  mutating func restart(at offset: Offset) {
    slots.removeAll()
    upcoming = offset
    isPlanning = false
    generation += 1
  }

  /// Ends the planning.
  mutating func stop() {
    slots.removeAll()
    upcoming = nil
    generation += 1
  }

  /// Work for one worker, if there is any and a free slot for its result.
  mutating func plan() -> Plan? {
    guard let upcoming, !isPlanning, slots.count < depth else { return nil }
    isPlanning = true
    number += 1
    slots.append(Slot(number: number))
    return Plan(offset: upcoming, generation: generation, number: number)
  }

  /// The index has answered: `end` is where the next block begins; nil when no block can follow.
  mutating func planned(_ plan: Plan, end: Offset?) {
    guard plan.generation == generation else { return }
    isPlanning = false
    upcoming = end
  }

  mutating func done(_ plan: Plan, _ outcome: Outcome) {
    guard plan.generation == generation, let index = slots.firstIndex(where: { $0.number == plan.number }) else {
      return
    }
    slots[index].outcome = outcome
  }

  enum Head {
    case ready(Outcome)
    case inProgress
    /// No slot is planned and none will be.
    case nothing
  }

  /// Whether ``take()`` would return a result.
  var hasHead: Bool { slots.first.map { $0.outcome != nil } ?? (upcoming == nil) }

  /// Takes the first slot, if it is done.
  mutating func take() -> Head {
    guard let first = slots.first else { return upcoming == nil ? .nothing : .inProgress }
    guard let outcome = first.outcome else { return .inProgress }
    slots.removeFirst()
    return .ready(outcome)
  }
}
