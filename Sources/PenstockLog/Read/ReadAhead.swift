/// How far ahead of its consumer a reader decodes.
public struct ReadAhead: Hashable, Sendable {
  let threads: Int

  /// A block is read and decompressed when its first record is asked for, by whoever asks.
  public static let none = ReadAhead(threads: 0)
  /// So many threads read and decompress the blocks that come next, while those before are looked at: a replay then takes as many
  /// processors as that and the consumer's. Holds at most two blocks for each thread besides what the consumer has.
  /// - Precondition: 1 to 64.
  public static func threads(_ count: Int) -> ReadAhead {
    precondition((1...64).contains(count), "1 to 64 threads read ahead")
    return ReadAhead(threads: count)
  }
}

/// Blocks in order that several workers decode at the same time, and one consumer. A pure value.
///
/// A slot is *planned* (somebody looks at the index for what stands at its offset: one at a time, because what follows depends on
/// it), then *under way*, then *done*; the consumer takes the first slot when it is done. Anything but a block (a gap, the end, a
/// failure) ends the planning: the consumer meets it in its place.
///
/// Invariants: slots are in offset order; at most `depth` of them; a slot of an earlier ``restart(at:)`` is never filled.
package struct ReadAheadQueue<Outcome> {
  private struct Slot {
    let number: UInt64
    var outcome: Outcome?
  }
  private var slots: [Slot] = []
  private var number: UInt64 = 0
  private var isPlanning = false
  /// What to plan next; nil before the first restart and behind the end.
  private var upcoming: Offset?
  private var generation: UInt64 = 0
  package let depth: Int

  package init(depth: Int) { self.depth = depth }

  /// A worker's claim: what stands at `offset`?
  package struct Plan: Hashable {
    package let offset: Offset
    fileprivate let generation: UInt64
    fileprivate let number: UInt64
  }

  /// Forgets everything and goes on at `offset`.
  package mutating func restart(at offset: Offset) {
    slots.removeAll()
    upcoming = offset
    isPlanning = false
    generation += 1
  }

  /// Ends the planning.
  package mutating func stop() {
    slots.removeAll()
    upcoming = nil
    generation += 1
  }

  /// Work for one worker, if there is any and room for what it brings.
  package mutating func plan() -> Plan? {
    guard let upcoming, !isPlanning, slots.count < depth else { return nil }
    isPlanning = true
    number += 1
    slots.append(Slot(number: number))
    return Plan(offset: upcoming, generation: generation, number: number)
  }

  /// The index has answered: `end` is where the next block begins; nil when nothing can follow.
  package mutating func planned(_ plan: Plan, end: Offset?) {
    guard plan.generation == generation else { return }
    isPlanning = false
    upcoming = end
  }

  package mutating func done(_ plan: Plan, _ outcome: Outcome) {
    guard plan.generation == generation, let index = slots.firstIndex(where: { $0.number == plan.number }) else {
      return
    }
    slots[index].outcome = outcome
  }

  package enum Head {
    case ready(Outcome)
    case underWay
    /// Nothing is planned and nothing will be.
    case nothing
  }

  /// Whether ``take()`` would bring something.
  package var hasHead: Bool { slots.first.map { $0.outcome != nil } ?? (upcoming == nil) }

  /// Takes the first slot, if it is done.
  package mutating func take() -> Head {
    guard let first = slots.first else { return upcoming == nil ? .nothing : .underWay }
    guard let outcome = first.outcome else { return .underWay }
    slots.removeFirst()
    return .ready(outcome)
  }
}
