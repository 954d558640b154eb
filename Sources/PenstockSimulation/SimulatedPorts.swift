import PenstockDelivery
import PenstockLog
import PenstockTestKit

/// The records that readers of a writer see.
struct ViewSource: RecordSource {
  let view: LogView
  let logID: String

  var durableEnd: Offset { get async { view.end } }
  func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try view.batch(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }
  func records(in range: Range<Offset>) async throws(LogError) -> Batch { try view.batch(in: range) }
  func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool { await view.wait(past: offset) }
}

/// A cursor on a disk, moved without a thread of its own; every move is noted.
struct RecordedLease: CursorLease {
  let held: HeldCursor
  let epoch: UInt32
  let view: LogView
  let recorder: EventRecorder<SimulationEvent>
  /// Writes the moves together with others'; nil: each by itself.
  var group: MoveGroup?

  var name: String { held.name }
  var state: CursorState { get async { held.state } }

  private func move(
    _ step: (CursorState) throws(CursorMoveError) -> CursorState
  ) async throws(LogError) -> CursorState {
    let next: CursorState
    do throws(CursorMoveError) { next = try step(held.state) } catch {
      throw LogError(.illegalMove, "the cursor does not make that move", cause: error)
    }
    recorder.note(.cursorMoving(name, to: [next]))
    let state: CursorState
    if let group {
      state = try await group.move(held, to: next)
    } else {
      state = try held.move { (_) throws(CursorMoveError) in next }
    }
    recorder.note(.cursorMoved(name, state))
    return state
  }

  func begin(_ intent: Intent, rejectionReason: String?) async throws(LogError) {
    _ = try await move { (state) throws(CursorMoveError) in
      try state.beginning(intent, rejectionReason: rejectionReason, epoch: epoch, durableEnd: view.end)
    }
  }
  func replace(_ id: DeliveryID, with intent: Intent, rejectionReason: String?) async throws(LogError) -> CursorState {
    try await move { (state) throws(CursorMoveError) in
      try state.replacing(id, with: intent, rejectionReason: rejectionReason, epoch: epoch)
    }
  }
  func complete(_ id: DeliveryID, receipt: String, beginning next: Intent?) async throws(LogError) -> CursorState {
    try await move { (state) throws(CursorMoveError) in
      try state.completing(id, receipt: receipt, beginning: next, epoch: epoch, durableEnd: view.end)
    }
  }
  func settle(_ id: DeliveryID, _ change: EventMove) async throws(LogError) -> CursorState {
    try await move { (state) throws(CursorMoveError) in try state.settling(id, change, epoch: epoch) }
  }

  func skip(to offset: Offset) async throws(LogError) -> CursorState {
    let skipped = try held.skip { (state) throws(CursorMoveError) in
      try state.committing(to: offset, epoch: epoch, durableEnd: view.end)
    }
    guard let skipped else { preconditionFailure("one thread moves cursors here") }
    return skipped
  }
  func save() async throws(LogError) {
    if held.isAhead { _ = try await move { (state) throws(CursorMoveError) in state } }
  }
}

/// Notes burials.
struct RecordedLetters: DeadLetterStore {
  let recorder: EventRecorder<SimulationEvent>
  func writeDeadLetter(_ letter: DeadLetter) async throws(LogError) -> Offset {
    recorder.note(.deadLettered(cursor: letter.cursor, letter.offset))
    return letter.offset
  }
}
