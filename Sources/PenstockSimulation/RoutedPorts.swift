import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Synchronization

/// Lets others have their turns, a random number of them: so everything comes between everything.
final class Turns: Sendable {
  let runner: SerialRunner
  private let random: Mutex<SplitMix64>

  init(_ runner: SerialRunner, seed: UInt64) {
    self.runner = runner
    random = Mutex(SplitMix64(seed: seed))
  }

  func some(upTo most: Int = 4) async { await take(random.withLock { $0.below(most + 1) }) }

  func take(_ count: Int) async { for _ in 0..<count { await runner.turn() } }
}

/// A clock on which a wait takes a few turns, and no real time.
struct TurningClock: DeliveryClock {
  let clock: TickingClock
  let turns: Turns

  func now() -> MonotonicInstant { clock.now() }
  func sleep(until moment: MonotonicInstant) async throws(CancellationError) {
    await turns.some(upTo: 12)
    try await clock.sleep(until: moment)
  }
}

/// A log that grows while it is read: it shows durable records one after the other.
struct GrowingSource: RecordSource {
  let view: LogView
  let logID: String
  let shown: AsyncCondition<Offset>
  let turns: Turns
  /// So many records in one read.
  let mostRecords: Int
  /// Records that cannot be read from here.
  var unreadable: Set<Offset> = []
  /// Records that were read from here.
  let reads = AsyncCondition(0)

  var durableEnd: Offset { get async { shown.value } }

  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    await turns.some()
    let end = shown.value
    if first >= end { return nil }
    if unreadable.contains(first) {
      throw LogError(
        .gap, "the record cannot be read here", location: .init(offset: first),
        cause: Gap(first: first, end: first + 1, reason: .unreadable))
    }
    let limit = unreadable.filter { $0 > first }.min().map { min($0, end) } ?? end
    let batch = try view.batch(from: first, maxRecords: min(maxRecords, mostRecords, limit - first), maxBytes: maxBytes)
    reads.update { $0 += batch?.count ?? 0 }
    return batch
  }

  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try view.batch(in: range) }

  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    guard timeout != nil else { return await shown.wait { $0 > offset } }
    await turns.some(upTo: 8)
    return shown.value > offset
  }

  /// Shows everything, a few records at a time.
  func grow() async {
    while shown.value < view.end {
      await turns.some(upTo: 12)
      shown.update { [view] in $0 = min(view.end, $0 + 2) }
    }
  }
}

/// Writes moves that wait together together.
final class MoveGroup: Sendable {
  struct Count: Sendable {
    var waiting = 0
    var writes = 0
    /// Writes that moved more than one cursor.
    var grouped = 0
  }

  private let turns: Turns
  private let state = Mutex(Count())

  init(_ turns: Turns) { self.turns = turns }

  var count: Count { state.withLock { $0 } }

  func move(_ held: HeldCursor, to next: CursorState) async throws(LogError) -> CursorState {
    state.withLock { $0.waiting += 1 }
    return try await held.move(
      { (_) throws(CursorMoveError) in next }, afterPreparing: { _ throws(LogError) in },
      startingWriteBy: { write in
        Task(executorPreference: turns.runner) { [self] in
          await turns.some(upTo: 2)
          state.withLock { count in
            count.writes += 1
            if count.waiting > 1 { count.grouped += 1 }
            count.waiting = 0
          }
          write()
        }
      })
  }
}
