internal import Synchronization

/// A cursor that this process has locked. Every move but ``skip(_:)`` is on stable storage before any caller sees it.
package final class HeldCursor: Sendable {
  /// What is durable.
  struct Contents: Hashable, Sendable {
    var record: CursorRecord
    var revision: UInt64
  }
  private struct Holding {
    var contents: Contents
    /// Where the cursor is, if it has skipped records since.
    var ahead: CursorState?
    /// Whether a group makes a move of it at this moment.
    var isMoving = false
    /// Whether the cursor was released.
    var isEnded = false

    var state: CursorState { ahead ?? contents.record.state }
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

  package var state: CursorState { holding.withLock { $0.state } }

  /// Whether it has skipped records, and that is not on stable storage.
  package var isAhead: Bool { holding.withLock { $0.ahead != nil } }

  /// Makes a move in memory. The next move, or ``save(afterPreparing:)``, makes it durable. Only for a move over
  /// records that are not to be delivered: a crash repeats it.
  ///
  /// Nil while another move is being written: this one would have to follow it. Then make it durable with
  /// ``move(_:afterPreparing:)``. Never waits.
  package func skip(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState
  ) throws(LogError) -> CursorState? {
    try holding.withLock { holding throws(LogError) in
      guard !holding.isEnded else { throw LogError(.closed, "the log of cursor \(name) is closed") }
      guard !holding.isMoving else { return nil }
      do throws(CursorMoveError) {
        let next = try step(holding.state)
        holding.ahead = next == holding.contents.record.state ? nil : next
        return next
      } catch {
        throw LogError(error, cursor: name)
      }
    }
  }

  /// Makes what was skipped durable. Blocks the calling thread for at most one sync.
  package func save(
    afterPreparing prepare: (CursorState) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) {
    guard isAhead else { return }
    try move({ (state) throws(CursorMoveError) in state }, afterPreparing: prepare)
  }

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

  /// From here on it skips nothing, until ``endMoving(at:ahead:)``. Nil once the cursor was released.
  func beginMoving() -> (contents: Contents, ahead: CursorState?)? {
    holding.withLock { holding in
      if holding.isEnded { return nil }
      holding.isMoving = true
      return (holding.contents, holding.ahead)
    }
  }

  func endMoving(at contents: Contents, ahead: CursorState?) {
    holding.withLock { holding in
      (holding.contents, holding.ahead) = (contents, ahead)
      holding.isMoving = false
    }
  }

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
