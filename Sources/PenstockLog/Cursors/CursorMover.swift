internal import Synchronization

/// Writes the moves of cursors: all that wait together in one group, each changed cursor once, with one sync for each
/// table.
///
/// A step is applied to the newest state of its cursor, which includes the steps before it in the group. A refused step
/// changes nothing, so it takes no other with it. When a cursor's write finds no space, its last step is left out and
/// the rest is written. No caller sees a state before it is durable.
///
/// Safe from any thread; one group at a time.
package final class CursorMover: Sendable {
  package typealias Step = @Sendable (CursorState) throws(CursorMoveError) -> CursorState
  package typealias Preparation = @Sendable (CursorState) throws(LogError) -> Void
  package typealias Outcome = Result<CursorState, LogError>

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

  /// Moves the cursors of a process together.
  package convenience init(_ fileSystem: any FileSystem, _ paths: LogPaths) throws(LogError) {
    self.init(try Slots(fileSystem, paths), isShared: true)
  }

  /// Releases all its cursors; they move no more.
  package func close() { slots.close() }

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
    group.finish()
    for (number, move) in queued.enumerated() { move.done(group.outcome(number)) }
  }
}

extension HeldCursor {
  /// Makes a move durable, together with all others that wait for the worker's thread then, and returns the new state.
  /// It cannot be cancelled.
  func move(
    on worker: Worker, _ step: @escaping CursorMover.Step, afterPreparing prepare: @escaping CursorMover.Preparation
  ) async throws(LogError) -> CursorState {
    try await move(step, afterPreparing: prepare) { worker.start($0) }
  }

  /// The same, for a caller that says where the write is made: `start` is called with it by the first that waits.
  package func move(
    _ step: @escaping CursorMover.Step, afterPreparing prepare: @escaping CursorMover.Preparation,
    startingWriteBy start: (@escaping @Sendable () -> Void) -> Void
  ) async throws(LogError) -> CursorState {
    let outcome = await withCheckedContinuation { (waiter: CheckedContinuation<CursorMover.Outcome, Never>) in
      let isFirst = mover.enqueue(self, step, afterPreparing: prepare) { waiter.resume(returning: $0) }
      if isFirst { start { [mover] in mover.writeQueued() } }
    }
    return try outcome.get()
  }

  /// Makes the same step of many cursors durable, in one group for each mover. Returns what came of each, in order.
  /// Blocks the calling thread.
  package static func move(
    _ cursors: [HeldCursor], _ step: @escaping CursorMover.Step,
    afterPreparing prepare: @escaping CursorMover.Preparation
  ) -> [CursorMover.Outcome] {
    let outcomes = Mutex([CursorMover.Outcome?](repeating: nil, count: cursors.count))
    for (number, cursor) in cursors.enumerated() {
      // Whatever was queued before is written below, too.
      _ = cursor.mover.enqueue(cursor, step, afterPreparing: prepare) { outcome in
        outcomes.withLock { $0[number] = outcome }
      }
    }
    var written: Set<ObjectIdentifier> = []
    for cursor in cursors where written.insert(ObjectIdentifier(cursor.mover)).inserted { cursor.mover.writeQueued() }
    return outcomes.withLock { $0.compactMap(\.self) }
  }
}
