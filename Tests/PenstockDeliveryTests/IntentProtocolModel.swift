import PenstockLog

/// The intent protocol between processes, as a model of its own: producers, two cursors, two processes that may each take
/// either cursor from the other, and crashes. ``DeliveryModel`` is one process from within; this is all of them from outside.
///
/// A process works on a copy of the cursor as it took it, and writes copy and move together; the write is refused when another
/// has taken the cursor since. Every legal move is also made by ``CursorState``, which must come to the same.
struct IntentProtocolModel: Hashable {
  /// A mistake in the protocol that the search must find.
  enum Bug: CaseIterable {
    case sendsBeforeIntent, commitsBeforeSending, ignoresEpoch, forgetsOpenIntent
  }

  struct Batch: Hashable {
    var first: UInt8, end: UInt8
    /// A bit for each batch there can be.
    var bit: UInt64 { 1 << UInt64(first * 8 + end) }
  }

  struct Cell: Hashable {
    var committed: UInt8 = 0
    var epoch: UInt8 = 0
    var open: Batch?
  }

  /// One process and one cursor.
  struct Handle: Hashable {
    var seen: Cell
    var sending: Batch?
    var isSent = false
  }

  struct Scope: Sendable {
    var producers: UInt8 = 3
    var cursors = 2
    var crashes = 2
    var takeovers = 1
  }

  /// Who has appended, a bit each.
  var appended: UInt8 = 0
  var cells: [Cell]
  /// Process, then cursor; nil where the process does not hold it.
  var handles: [[Handle?]]
  /// What each destination holds, by name.
  var delivered: [UInt64]
  var crashes = 0
  var takeovers = 0

  init(_ scope: Scope) {
    cells = Array(repeating: Cell(), count: scope.cursors)
    handles = Array(repeating: Array(repeating: nil, count: scope.cursors), count: 2)
    delivered = Array(repeating: 0, count: scope.cursors)
  }

  var end: UInt8 { UInt8(appended.nonzeroBitCount) }
}

extension IntentProtocolModel {
  struct Step {
    var name: String
    var model: IntentProtocolModel
    var violations: [String] = []
  }

  func steps(_ scope: Scope, _ bug: Bug?) -> [Step] {
    var steps: [Step] = []
    for producer in 0..<scope.producers where appended & 1 << producer == 0 {
      steps.append(step("producer \(producer) appends") { $0.appended |= 1 << producer })
    }
    for process in handles.indices {
      let who = "process \(process)"
      if crashes < scope.crashes, handles[process].contains(where: { $0 != nil }) {
        steps.append(
          step("\(who) dies") {
            $0.crashes += 1
            $0.handles[process] = Array(repeating: nil, count: scope.cursors)
          })
      }
      for cursor in cells.indices { steps += working(who, process, cursor, scope, bug) }
    }
    return steps
  }

  private func step(_ name: String, _ change: (inout IntentProtocolModel) -> Void) -> Step {
    var next = self
    change(&next)
    return Step(name: name, model: next)
  }

  private func working(_ who: String, _ process: Int, _ cursor: Int, _ scope: Scope, _ bug: Bug?) -> [Step] {
    guard let handle = handles[process][cursor] else { return taking(who, process, cursor, scope, bug) }
    let what = "cursor \(cursor)"
    guard let batch = handle.sending else {
      return (1...2 as ClosedRange<UInt8>).compactMap { count -> Step? in
        let batch = Batch(first: handle.seen.committed, end: handle.seen.committed + count)
        guard batch.end <= end else { return nil }
        let name = "\(who) begins \(batch.first)..<\(batch.end) of \(what)"
        return write(name, process, cursor, bug) { handle in
          handle.seen.open = batch
          handle.sending = batch
        }
      }
    }
    var steps: [Step] = []
    if !handle.isSent {
      var sent = step("\(who) sends \(batch.first)..<\(batch.end) of \(what)") {
        $0.delivered[cursor] |= batch.bit
        $0.handles[process][cursor]?.isSent = true
      }
      sent.violations = sent.model.broken(cursor, since: cells[cursor])
      steps.append(sent)
    }
    if handle.isSent || bug == .commitsBeforeSending {
      steps.append(
        write("\(who) commits \(batch.first)..<\(batch.end) of \(what)", process, cursor, bug) { handle in
          handle.seen.open = nil
          handle.seen.committed = batch.end
          handle.sending = nil
          handle.isSent = false
        })
    }
    return steps
  }

  /// A process takes a cursor that is free, or, so many times, one that another holds and may go on to believe it holds.
  private func taking(_ who: String, _ process: Int, _ cursor: Int, _ scope: Scope, _ bug: Bug?) -> [Step] {
    let isHeld = handles[1 - process][cursor] != nil
    if isHeld, takeovers == scope.takeovers { return [] }
    var next = self
    if isHeld { next.takeovers += 1 }
    next.cells[cursor].epoch += 1
    let cell = next.cells[cursor]
    next.handles[process][cursor] = Handle(seen: cell, sending: bug == .forgetsOpenIntent ? nil : cell.open)
    var step = Step(name: "\(who) takes cursor \(cursor)", model: next)
    if bug == nil, Cell(cells[cursor].state.acquired()) != cell {
      step.violations.append("CursorState takes otherwise")
    }
    return [step]
  }

  /// A process makes its move durable: copy and move together.
  private func write(
    _ name: String, _ process: Int, _ cursor: Int, _ bug: Bug?, _ move: (inout Handle) -> Void
  ) -> Step {
    guard let before = handles[process][cursor] else { return Step(name: name, model: self) }
    var after = before
    move(&after)
    var next = self
    var step = Step(name: name, model: self)
    if before.seen.epoch == cells[cursor].epoch || bug == .ignoresEpoch {
      // With the bug the process sends before its intent is durable: a crash in between leaves none.
      if bug != .sendsBeforeIntent || after.seen.open == nil { next.cells[cursor] = after.seen }
      if bug == .ignoresEpoch { next.cells[cursor].epoch = max(after.seen.epoch, cells[cursor].epoch) }
      next.handles[process][cursor] = after
    } else {
      // Fenced: the process lets go.
      next.handles[process][cursor] = nil
    }
    step.model = next
    step.violations = next.broken(cursor, since: cells[cursor])
    if bug == nil { step.violations += compared(before, after, cursor, isFenced: next.handles[process][cursor] == nil) }
    return step
  }

  /// What no step may do.
  private func broken(_ cursor: Int, since before: Cell) -> [String] {
    let cell = cells[cursor]
    var found: [String] = []
    if cell.committed < before.committed { found.append("the cursor went back") }
    if cell.committed > end { found.append("the cursor passed the log's end") }
    let names = (0..<3 as Range<UInt8>).flatMap { first in (1...3).map { Batch(first: first, end: $0) } }
      .filter { delivered[cursor] & $0.bit != 0 }
    for record in 0..<3 as Range<UInt8> {
      let holding = names.filter { $0.first <= record && record < $0.end }
      if holding.count > 1 { found.append("record \(record) is delivered under two names") }
      if record < cell.committed, holding.isEmpty { found.append("record \(record) is passed and was not delivered") }
    }
    return found
  }

  /// The same move by ``CursorState``.
  private func compared(_ before: Handle, _ after: Handle, _ cursor: Int, isFenced: Bool) -> [String] {
    let state = cells[cursor].state
    let epoch = UInt32(before.seen.epoch)
    do throws(CursorMoveError) {
      let moved: CursorState
      if let batch = after.sending {
        moved = try state.beginning(batch.intent, epoch: epoch, durableEnd: Offset(UInt64(end)))
      } else {
        guard let batch = before.sending else { return [] }
        moved = try state.completing(batch.intent.id, receipt: "", epoch: epoch)
      }
      if isFenced { return ["CursorState takes a move of an earlier epoch"] }
      return Cell(moved) == after.seen ? [] : ["CursorState comes to \(moved)"]
    } catch {
      if case .fenced = error { return isFenced ? [] : ["CursorState fences the holder"] }
      return ["CursorState refuses: \(error)"]
    }
  }
}

extension IntentProtocolModel.Batch {
  var intent: Intent {
    Intent(
      id: DeliveryID("\(first)-\(end)"), first: Offset(UInt64(first)), end: Offset(UInt64(end)),
      contentDigest: [UInt8](repeating: first * 8 + end, count: 32), plan: [], createdAt: Timestamp(nanoseconds: 0))
  }
}

extension IntentProtocolModel.Cell {
  var state: CursorState {
    CursorState(
      restoring: Offset(UInt64(committed)), epoch: UInt32(epoch),
      inFlight: open.map { [.init(intent: $0.intent, isDelivered: false)] } ?? [], lastReceipt: nil)
  }

  init(_ state: CursorState) {
    committed = UInt8(state.committed.rawValue)
    epoch = UInt8(state.epoch)
    open = state.inFlight.first.map {
      IntentProtocolModel.Batch(first: UInt8($0.intent.first.rawValue), end: UInt8($0.intent.end.rawValue))
    }
  }
}
