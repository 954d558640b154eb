internal import Synchronization

/// A cursor that this process has locked. Every move is on stable storage before any caller sees it.
package final class HeldCursor: Sendable {
  /// What is durable.
  struct Contents: Hashable, Sendable {
    var record: CursorRecord
    var revision: UInt64
  }
  private struct Holding {
    var contents: Contents
    /// Whether the cursor was released.
    var isEnded = false
  }
  private let holding: Mutex<Holding>
  let mover: CursorMover
  package let name: String
  var slot: SlotName { SlotName(.cursor, name) }

  init(_ mover: CursorMover, _ record: CursorRecord, revision: UInt64) {
    self.mover = mover
    name = record.name
    holding = Mutex(Holding(contents: Contents(record: record, revision: revision)))
  }

  deinit { if end() != nil { mover.release(slot) } }

  /// Releases the cursor's lock; the cursor moves no more.
  package func close() { mover.close(self) }

  package var state: CursorState { holding.withLock { $0.contents.record.state } }

  /// Makes a move durable and returns the new state. Blocks the calling thread for one sync. Calls `prepare` with the
  /// new state before it is written.
  @discardableResult
  package func move(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState,
    afterPreparing prepare: (CursorState) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) -> CursorState {
    try mover.move(self, step, afterPreparing: prepare)
  }

  // MARK: For the mover

  /// Nil once the cursor was released.
  var contents: Contents? { holding.withLock { $0.isEnded ? nil : $0.contents } }

  func wrote(_ contents: Contents) { holding.withLock { $0.contents = contents } }

  /// Ends the moves. Returns the revision that is durable; nil when they had ended.
  func end() -> UInt64? {
    holding.withLock { holding in
      defer { holding.isEnded = true }
      return holding.isEnded ? nil : holding.contents.revision
    }
  }
}

extension LogError {
  init(_ refusal: SlotRefusal, cursor name: String) {
    switch refusal {
    case .held: self.init(.cursorHeld, "another process delivers with cursor \(name); stop it first")
    case .failed(let error): self = error
    case .conflict:
      self.init(.poisoned, "another program changed cursor \(name) while it was in use; open the log again")
    }
  }
}
