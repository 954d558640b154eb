internal import Synchronization

/// Writes the moves of cursors: all that wait together in one group, each changed cursor once, with one sync for each
/// table.
///
/// A step is applied to the newest state of its cursor, which includes the steps before it in the group. A refused step
/// changes nothing, so it takes no other with it. When a cursor's write finds no space, its last step is left out and
/// the rest is written. No caller sees a state before it is durable.
///
/// Safe from any thread; one group at a time.
final class CursorMover: Sendable {
  typealias Step = @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  typealias Preparation = @Sendable (CursorState) throws(LogError) -> Void
  typealias Outcome = Result<CursorState, LogError>

  private struct Queued: Sendable {
    let cursor: HeldCursor
    let step: Step
    let prepare: Preparation
    let done: @Sendable (Outcome) -> Void
  }

  let slots: Slots
  /// Whether it moves more than one cursor; else the tables are closed with the cursor.
  private let isShared: Bool
  private let queue = Mutex<[Queued]>([])
  /// Held while a group is written.
  private let writing = Mutex(())

  init(_ slots: Slots, isShared: Bool) {
    self.slots = slots
    self.isShared = isShared
  }

  /// Queues a step, and calls `done` with the new state when it is durable, or with the reason why it was refused.
  /// Returns whether nothing was queued before: then the caller sees to it that ``writeQueued()`` is called.
  func enqueue(
    _ cursor: HeldCursor, _ step: @escaping Step, afterPreparing prepare: @escaping Preparation,
    then done: @escaping @Sendable (Outcome) -> Void
  ) -> Bool {
    queue.withLock { queue in
      queue.append(Queued(cursor: cursor, step: step, prepare: prepare, done: done))
      return queue.count == 1
    }
  }

  /// Writes all queued steps in one group. Blocks the calling thread.
  func writeQueued() {
    writing.withLock { _ in
      var group = CursorGroup()
      let queued = take(into: &group)
      write(&group)
      finish(queued, group)
    }
  }

  /// Makes a step durable, together with all that are queued, and returns the new state. Blocks the calling thread.
  func move(
    _ cursor: HeldCursor, _ step: (CursorState) throws(CursorMoveError) -> CursorState,
    afterPreparing prepare: (CursorState) throws(LogError) -> Void
  ) throws(LogError) -> CursorState {
    try writing.withLock { _ throws(LogError) in
      var group = CursorGroup()
      let queued = take(into: &group)
      let number = group.apply(step, to: cursor, afterPreparing: prepare)
      write(&group)
      finish(queued, group)
      return try group.outcome(number).get()
    }
  }

  /// Ends the cursor after the group that is being written, and releases its name.
  func close(_ cursor: HeldCursor) {
    writing.withLock { _ in
      if cursor.end() != nil { release(cursor.slot) }
    }
  }

  /// Releases the name of a cursor whose moves have ended.
  func release(_ slot: SlotName) {
    if isShared { slots.release(slot) } else { slots.close() }
  }

  /// The same, and removes the cursor: durable when it returns. Runs `body` before another process can take the name.
  func remove(_ cursor: HeldCursor, then body: () throws(LogError) -> Void) throws(LogError) {
    try writing.withLock { _ throws(LogError) in
      guard let revision = cursor.end() else { return }
      defer { release(cursor.slot) }
      for case .failure(let refusal) in slots.write([.remove(cursor.slot, after: revision)]) {
        throw LogError(refusal, cursor: cursor.name)
      }
      try body()
    }
  }

  private func take(into group: inout CursorGroup) -> [Queued] {
    let queued = queue.withLock { queue in
      defer { queue = [] }
      return queue
    }
    for move in queued { _ = group.apply(move.step, to: move.cursor, afterPreparing: move.prepare) }
    return queued
  }

  private func write(_ group: inout CursorGroup) {
    while true {
      let moves = group.moves
      if moves.isEmpty { return }
      for (move, result) in zip(moves, slots.write(moves)) { group.settle(move.name, result) }
    }
  }

  private func finish(_ queued: [Queued], _ group: CursorGroup) {
    for (number, move) in queued.enumerated() { move.done(group.outcome(number)) }
  }
}

extension HeldCursor {
  /// Makes a move durable, together with all others that wait for the worker's thread then, and returns the new state.
  /// It cannot be cancelled.
  func move(
    on worker: Worker, _ step: @escaping CursorMover.Step, afterPreparing prepare: @escaping CursorMover.Preparation
  ) async throws(LogError) -> CursorState {
    let outcome = await withCheckedContinuation { (waiter: CheckedContinuation<CursorMover.Outcome, Never>) in
      let isFirst = mover.enqueue(self, step, afterPreparing: prepare) { waiter.resume(returning: $0) }
      if isFirst { worker.start { [mover] in mover.writeQueued() } }
    }
    return try outcome.get()
  }
}

/// What a group of steps makes of its cursors: each step in turn, and one write for each cursor that changed.
struct CursorGroup {
  private struct Entry {
    let cursor: HeldCursor
    var written: HeldCursor.Contents
    /// Steps whose result the next write decides: those that changed the state, and all after the first of them.
    var open: [(number: Int, outcome: Result<CursorRecord, LogError>)] = []

    var newest: CursorRecord {
      for case (_, .success(let record)) in open.reversed() { return record }
      return written.record
    }
  }

  private var entries: [SlotName: Entry] = [:]
  private var order: [SlotName] = []
  private var outcomes: [CursorMover.Outcome?] = []

  /// Applies a step to the newest state of its cursor, and returns the step's number in the group.
  mutating func apply(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState, to cursor: HeldCursor,
    afterPreparing prepare: (CursorState) throws(LogError) -> Void
  ) -> Int {
    outcomes.append(nil)
    let number = outcomes.count - 1
    guard let written = cursor.contents else {
      outcomes[number] = .failure(LogError(.closed, "the log of cursor \(cursor.name) is closed"))
      return number
    }
    if entries[cursor.slot] == nil { order.append(cursor.slot) }
    var entry = entries[cursor.slot] ?? Entry(cursor: cursor, written: written)
    let newest = entry.newest
    let outcome = Result { () throws(LogError) -> CursorRecord in
      var record = newest
      do throws(CursorMoveError) { record.state = try step(record.state) } catch {
        throw LogError(error, cursor: cursor.name)
      }
      if record != newest { try prepare(record.state) }
      return record
    }
    if entry.open.isEmpty, (try? outcome.get()) ?? newest == newest {
      outcomes[number] = outcome.map(\.state)
    } else {
      entry.open.append((number, outcome))
    }
    entries[cursor.slot] = entry
    return number
  }

  /// What is to be written now. Empty when every step has its outcome.
  var moves: [SlotMove] {
    order.compactMap { name in
      guard let entry = entries[name], !entry.open.isEmpty else { return nil }
      return .put(name, entry.newest.encoded(), after: entry.written.revision)
    }
  }

  /// What came of a cursor's write.
  mutating func settle(_ name: SlotName, _ result: Result<UInt64, SlotRefusal>) {
    guard var entry = entries[name] else { return }
    switch result {
    case .success(let revision):
      entry.written = HeldCursor.Contents(record: entry.newest, revision: revision)
      entry.cursor.wrote(entry.written)
      for (number, outcome) in entry.open { outcomes[number] = outcome.map(\.state) }
      entry.open = []
    case .failure(let refusal):
      let failure = LogError(refusal, cursor: entry.cursor.name)
      // The larger value may need a place that an earlier one does not.
      let changes = entry.open.count { (try? $0.outcome.get()) != nil }
      let kept = failure.code == .noSpace && changes > 1 ? entry.open.lastIndex { (try? $0.outcome.get()) != nil } : 0
      for (number, _) in entry.open[(kept ?? 0)...] { outcomes[number] = .failure(failure) }
      entry.open.removeSubrange((kept ?? 0)...)
    }
    entries[name] = entry
  }

  func outcome(_ number: Int) -> CursorMover.Outcome {
    outcomes[number] ?? .failure(LogError(.poisoned, "the move was not written"))
  }
}
