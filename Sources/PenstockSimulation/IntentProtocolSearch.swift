/// Visits every state that an ``IntentProtocolModel`` can reach, breadth first, so that a finding has the fewest
/// possible steps. States that differ only in the names of processes, cursors and producers count once.
package struct IntentProtocolSearch: Sendable {
  package private(set) var states = 0
  /// Of them, those that differ in more than in who is who.
  package private(set) var kinds = 0
  package private(set) var moves = 0
  /// Different moves that ``CursorState`` made as well.
  package private(set) var compared = 0
  /// Every producer done, every cursor at the end.
  package private(set) var finished = 0
  /// The shortest way to something wrong: what was done, and what was wrong then.
  package private(set) var trace: [String]?

  /// Blocks until everything was looked at, or something was found.
  ///
  /// - Parameter isReduced: False looks at every state, also at those that are the same but for who is who.
  package init(
    _ scope: IntentProtocolModel.Scope, _ fault: IntentProtocolModel.InjectedFault? = nil, isReduced: Bool = true
  ) {
    var judge = CursorOracle()
    defer { compared = judge.moves }
    let start = IntentProtocolModel()
    var seen: Set<IntentProtocolModel> = [isReduced ? start.canonical(scope) : start]
    defer { kinds = isReduced ? seen.count : Set(seen.map { $0.canonical(scope) }).count }
    // Of every state: the one it was reached from, and by which of its steps.
    var reached: [(from: Int32, step: UInt8)] = [(0, 0)]
    var level = [start]
    var firstOfLevel = 0
    while !level.isEmpty {
      var next: [IntentProtocolModel] = []
      for (place, model) in level.enumerated() {
        states += 1
        if model.isFinished(scope) { finished += 1 }
        for (number, step) in model.steps(scope, fault, &judge).enumerated() {
          moves += 1
          if !step.violations.isEmpty {
            trace =
              Self.way(to: firstOfLevel + place, reached, scope, fault) + [step.move.description] + step.violations
            return
          }
          guard seen.insert(isReduced ? step.model.canonical(scope) : step.model).inserted else { continue }
          next.append(step.model)
          reached.append((Int32(firstOfLevel + place), UInt8(number)))
        }
      }
      firstOfLevel += level.count
      level = next
    }
  }

  /// Goes it again.
  private static func way(
    to last: Int, _ reached: [(from: Int32, step: UInt8)], _ scope: IntentProtocolModel.Scope,
    _ fault: IntentProtocolModel.InjectedFault?
  ) -> [String] {
    var numbers: [Int] = []
    var index = last
    while index != 0 {
      numbers.append(Int(reached[index].step))
      index = Int(reached[index].from)
    }
    var judge = CursorOracle()
    var model = IntentProtocolModel()
    return numbers.reversed().map { number in
      let step = model.steps(scope, fault, &judge)[number]
      model = step.model
      return step.move.description
    }
  }
}
