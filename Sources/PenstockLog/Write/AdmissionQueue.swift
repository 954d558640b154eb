/// A place in line for room in the queue; see ``AdmissionQueue``.
package struct AdmissionTicket: Hashable, Sendable { fileprivate let number: UInt64 }

/// Who waits for room in the queue, and whose turn it is: in the order of arrival, so that a stream of small appends keeps no
/// large one waiting for ever. A pure value; `Committer` resumes whom it names.
///
/// A waiter *stands in line*, then *has its turn*, for which room is kept, until it is used or given back. Who comes while
/// others stand in line joins behind them, whether it would fit or not.
///
/// Invariants
/// 1. Turns are given in the order of joining.
/// 2. The room that is kept, together with what is queued, fits the queue; but a single one alone may be larger.
/// 3. Every waiter gets a turn or leaves, once.
package struct AdmissionQueue<Waiter> {
  package typealias Turn = AdmissionTicket

  private var standing: [(turn: Turn, bytes: Int, waiter: Waiter)] = []
  private var turns: [Turn: Int] = [:]
  private var joined: UInt64 = 0
  /// Bytes that are kept for those who have their turn.
  package private(set) var keptBytes = 0

  package init() {}

  package var isEmpty: Bool { standing.isEmpty }
  package var count: Int { standing.count }

  /// Stands in line for so many bytes. The number is never given out twice.
  package mutating func join(_ bytes: Int, _ waiter: Waiter) -> Turn {
    joined += 1
    let turn = Turn(number: joined)
    standing.append((turn, bytes, waiter))
    return turn
  }

  /// Does not wait any more; nil when it has its turn already, which must still be used or given back.
  package mutating func leave(_ turn: Turn) -> Waiter? {
    guard let place = standing.firstIndex(where: { $0.turn == turn }) else { return nil }
    return standing.remove(at: place).waiter
  }

  /// The turn is used, or not needed any more. Harmless for one that nobody has.
  package mutating func end(_ turn: Turn) {
    guard let bytes = turns.removeValue(forKey: turn) else { return }
    keptBytes -= bytes
  }

  /// Gives turns to the first in line, as far as there is room: `hasRoom` says whether so many bytes fit beside so many kept
  /// ones. O(given turns + line).
  package mutating func admit(_ hasRoom: (_ bytes: Int, _ kept: Int) -> Bool) -> [(turn: Turn, waiter: Waiter)] {
    var count = 0
    while count < standing.count, hasRoom(standing[count].bytes, keptBytes) {
      turns[standing[count].turn] = standing[count].bytes
      keptBytes += standing[count].bytes
      count += 1
    }
    guard count > 0 else { return [] }
    defer { standing.removeFirst(count) }
    return standing[..<count].map { ($0.turn, $0.waiter) }
  }

  /// Gives everybody a turn for nothing: the log has ended, and their offers will say why.
  package mutating func dismiss() -> [(turn: Turn, waiter: Waiter)] {
    defer { standing = [] }
    return standing.map { ($0.turn, $0.waiter) }
  }
}
