/// What a group of steps makes of its cursors: each step in turn, and one write for each cursor that changed.
///
/// A cursor takes part from its first step on until ``finish()``, and skips nothing meanwhile.
struct CursorGroup {
  private struct Entry {
    let cursor: HeldCursor
    var written: HeldCursor.Contents
    /// Where the cursor is without a write, if it has skipped records since.
    var ahead: CursorState?
    /// Steps whose result the next write decides: the first that changed what is durable, and all after it.
    var open: [(number: Int, outcome: Result<CursorRecord, LogError>)] = []

    var newest: CursorRecord {
      for case (_, .success(let record)) in open.reversed() { return record }
      var record = written.record
      if let ahead { record.state = ahead }
      return record
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
    guard var entry = entries[cursor.slot] ?? enter(cursor) else {
      outcomes[number] = .failure(LogError(.closed, "the log of cursor \(cursor.name) is closed"))
      return number
    }
    let outcome = Result { () throws(LogError) -> CursorRecord in
      var record = entry.newest
      do throws(CursorMoveError) { record.state = try step(record.state) } catch {
        throw LogError(error, cursor: cursor.name)
      }
      if record != entry.written.record { try prepare(record.state) }
      return record
    }
    if entry.open.isEmpty, (try? outcome.get()) ?? entry.written.record == entry.written.record {
      outcomes[number] = outcome.map(\.state)
      if case .success = outcome { entry.ahead = nil }
    } else {
      entry.open.append((number, outcome))
    }
    entries[cursor.slot] = entry
    return number
  }

  /// Nil once the cursor was released.
  private mutating func enter(_ cursor: HeldCursor) -> Entry? {
    guard let (written, ahead) = cursor.beginMoving() else { return nil }
    order.append(cursor.slot)
    return Entry(cursor: cursor, written: written, ahead: ahead)
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
      entry.ahead = nil
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

  /// Gives each cursor its new state, and lets it skip again.
  func finish() {
    for name in order {
      guard let entry = entries[name] else { continue }
      entry.cursor.endMoving(at: entry.written, ahead: entry.ahead)
    }
  }

  func outcome(_ number: Int) -> CursorMover.Outcome {
    outcomes[number] ?? .failure(LogError(.poisoned, "the move was not written"))
  }
}
