import PenstockSimulation
import PenstockTestKit

/// The intent protocol between processes, in every order.
struct ModelSuite {
  private let scope: IntentProtocolModel.Scope

  init(_ options: Options) {
    options.allow("producers", "cursors", "crashes", "takeovers")
    func number(_ name: String, _ usual: UInt64, _ range: ClosedRange<UInt64>) -> UInt64 {
      let value = options.number(name) ?? usual
      if !range.contains(value) { fail("\(name) is \(range.lowerBound) … \(range.upperBound)") }
      return value
    }
    scope = IntentProtocolModel.Scope(
      producers: UInt8(number("producers", 3, 1...3)), cursors: Int(number("cursors", 2, 1...2)),
      crashes: UInt8(number("crashes", 4, 0...9)), takeovers: UInt8(number("takeovers", 4, 0...9)))
  }

  func run() {
    let start = ContinuousClock.now
    let found = IntentProtocolSearch(scope)
    print(
      "model  \(scope.producers) producers, \(scope.cursors) cursors, "
        + "\(scope.crashes) crashes, \(scope.takeovers) takeovers: "
        + "\(found.states) states, \(found.moves) moves, \(found.compared) different ones made by CursorState, "
        + "\(found.finished) ends, \(Int((ContinuousClock.now - start) / .seconds(1))) s: "
        + (found.trace == nil ? "complete, 0 violations" : "VIOLATION"))
    for line in found.trace ?? [] { tell("  \(line)") }
    finish(isClean: found.trace == nil)
  }
}
