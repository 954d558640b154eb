import PenstockLog

/// Makes every move of an ``IntentProtocolModel`` with ``CursorState`` as well, and reports where the two differ. It
/// makes equal moves once.
package struct CursorOracle {
  typealias Cell = IntentProtocolModel.Cell
  typealias Handle = IntentProtocolModel.Handle

  struct Question: Hashable {
    var cell: Cell
    var before: Handle
    var after: Handle
    var end: UInt8
    var isFenced: Bool
  }

  private var answers: [Question: [String]] = [:]
  private var takings: [Cell: Cell] = [:]
  /// How many different moves were made.
  var moves: Int { answers.count + takings.count }

  mutating func takes(_ cell: Cell, as next: Cell) -> Bool {
    if let known = takings[cell] { return known == next }
    let taken = Cell(cell.state.acquired())
    takings[cell] = taken
    return taken == next
  }

  mutating func compare(_ question: Question) -> [String] {
    if let known = answers[question] { return known }
    let answer = Self.answer(question)
    answers[question] = answer
    return answer
  }

  private static func answer(_ question: Question) -> [String] {
    let state = question.cell.state
    let epoch = UInt32(question.before.seen.epoch)
    do throws(CursorMoveError) {
      let moved: CursorState
      if let batch = question.after.sending {
        moved = try state.beginning(batch.intent, epoch: epoch, durableEnd: Offset(UInt64(question.end)))
      } else {
        guard let batch = question.before.sending else { return [] }
        moved = try state.completing(batch.intent.id, receipt: "", epoch: epoch)
      }
      if question.isFenced { return ["CursorState takes a move of an earlier epoch"] }
      return Cell(moved) == question.after.seen ? [] : ["CursorState comes to \(moved)"]
    } catch {
      if case .fenced = error { return question.isFenced ? [] : ["CursorState fences the holder"] }
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
