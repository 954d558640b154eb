import PenstockLog

// What may happen next.
extension IntentProtocolModel {
  func steps(_ scope: Scope, _ fault: InjectedFault?, _ judge: inout CursorOracle) -> [Step] {
    var steps: [Step] = []
    for producer in 0..<scope.producers where appended & 1 << producer == 0 {
      steps.append(step(.append(producer: producer)) { $0.appended |= 1 << producer })
    }
    for process in 0..<2 {
      let holdsAny = (0..<scope.cursors).contains { handles[process][$0] != nil }
      if crashes < scope.crashes, holdsAny {
        steps.append(
          step(.die(process: process)) {
            $0.crashes += 1
            $0.handles[process] = Pair(nil)
          })
      }
      for cursor in 0..<scope.cursors { steps += working(process, cursor, scope, fault, &judge) }
    }
    return steps
  }

  private func step(_ move: Move, _ change: (inout IntentProtocolModel) -> Void) -> Step {
    var next = self
    change(&next)
    return Step(move: move, model: next)
  }

  private func working(
    _ process: Int, _ cursor: Int, _ scope: Scope, _ fault: InjectedFault?, _ judge: inout CursorOracle
  ) -> [Step] {
    guard let handle = handles[process][cursor] else { return taking(process, cursor, scope, fault, &judge) }
    var steps: [Step] = []
    guard let batch = handle.sending else {
      for count in 1...2 as ClosedRange<UInt8> {
        let batch = Batch(first: handle.seen.committed, end: handle.seen.committed + count)
        guard batch.end <= end else { continue }
        let move = Move.begin(process: process, cursor: cursor, first: batch.first, end: batch.end)
        steps.append(
          write(move, process, cursor, fault, &judge) { handle in
            handle.seen.open = batch
            handle.sending = batch
          })
      }
      return steps
    }
    if !handle.isSent {
      var sent = step(.send(process: process, cursor: cursor, first: batch.first, end: batch.end)) {
        $0.delivered[cursor] |= batch.bit
        $0.handles[process][cursor]?.isSent = true
      }
      sent.violations = sent.model.broken(cursor, since: cells[cursor])
      steps.append(sent)
    }
    if handle.isSent || fault == .commitsBeforeSending {
      let move = Move.commit(process: process, cursor: cursor, first: batch.first, end: batch.end)
      steps.append(
        write(move, process, cursor, fault, &judge) { handle in
          handle.seen.open = nil
          handle.seen.committed = batch.end
          handle.sending = nil
          handle.isSent = false
        })
    }
    return steps
  }

  /// A process takes a free cursor, or, a limited number of times, one that another process holds and may still believe
  /// to hold.
  private func taking(
    _ process: Int, _ cursor: Int, _ scope: Scope, _ fault: InjectedFault?, _ judge: inout CursorOracle
  ) -> [Step] {
    let isHeld = handles[1 - process][cursor] != nil
    if isHeld, takeovers == scope.takeovers { return [] }
    var next = self
    if isHeld { next.takeovers += 1 }
    next.cells[cursor].epoch += 1
    let cell = next.cells[cursor]
    next.handles[process][cursor] = Handle(seen: cell, sending: fault == .forgetsOpenIntent ? nil : cell.open)
    var step = Step(move: .take(process: process, cursor: cursor), model: next)
    if fault == nil, !judge.takes(cells[cursor], as: cell) { step.violations.append("CursorState takes otherwise") }
    return [step]
  }

  /// A process makes its move durable: copy and move together.
  private func write(
    _ move: Move, _ process: Int, _ cursor: Int, _ fault: InjectedFault?, _ judge: inout CursorOracle,
    _ change: (inout Handle) -> Void
  ) -> Step {
    guard let before = handles[process][cursor] else { return Step(move: move, model: self) }
    var after = before
    change(&after)
    var next = self
    var step = Step(move: move, model: self)
    let isFenced = before.seen.epoch != cells[cursor].epoch && fault != .ignoresEpoch
    if isFenced {
      // The process lets go.
      next.handles[process][cursor] = nil
    } else {
      // With the fault the process sends before its intent is durable: a crash in between leaves none.
      let epoch = max(after.seen.epoch, cells[cursor].epoch)
      if fault != .sendsBeforeIntent || after.seen.open == nil { next.cells[cursor] = after.seen }
      if fault == .ignoresEpoch { next.cells[cursor].epoch = epoch }
      next.handles[process][cursor] = after
    }
    step.model = next
    step.violations = next.broken(cursor, since: cells[cursor])
    if fault == nil {
      step.violations += judge.compare(
        CursorOracle.Question(cell: cells[cursor], before: before, after: after, end: end, isFenced: isFenced))
    }
    return step
  }

  private static let batches = (0..<3 as Range<UInt8>).flatMap { first in
    (1...3).map { Batch(first: first, end: $0) }
  }

  /// What no step may do.
  private func broken(_ cursor: Int, since before: Cell) -> [String] {
    let cell = cells[cursor]
    var found: [String] = []
    if cell.committed < before.committed { found.append("the cursor went back") }
    if cell.committed > end { found.append("the cursor passed the log's end") }
    for record in 0..<3 as Range<UInt8> {
      var holding = 0
      for batch in Self.batches
      where delivered[cursor] & batch.bit != 0 && batch.first <= record && record < batch.end { holding += 1 }
      if holding > 1 { found.append("record \(record) is delivered under two names") }
      if record < cell.committed, holding == 0 { found.append("record \(record) is passed and was not delivered") }
    }
    return found
  }
}
