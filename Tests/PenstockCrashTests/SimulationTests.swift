import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

/// A slice of `make lab-sim`, which runs for as long as its DURATION says.
@Suite struct SimulationTests {
  private let seed = Setting.number("PENSTOCK_SEED") ?? 20_261_123

  @Test func `runs of appends, seals, retention and deliveries with crashes and faults break no promise`() {
    var sum = Simulation.Result()
    for seed in seed..<(seed + 60) {
      let result = Simulation.run(SimulationScript(seed: seed))
      if let violation = result.violations.first { Issue.record("seed \(seed): \(violation)") }
      sum.add(result)
    }
    print(
      "simulated crash-recoveries: \(sum.recoveries), \(sum.deliveries) deliveries, \(sum.sealed) seals (seed \(seed))")
    // Of the writes that the disk loses or misdirects some were zeros, or an index: nothing is lost with them.
    #expect(sum.lies > 5 && sum.liesReported > 3)
    #expect(sum.found > 0 && sum.repetitions > 150 && sum.failedReads > 10 && sum.badSectors > 2)
    #expect(sum.recoveries > 1_500 && sum.deliveries > 100 && sum.sealed > 20 && sum.trims > 10)
  }

  @Test func `a recovery that changes the segments once more is found`() {
    let result = Simulation.run(SimulationScript(seed: seed)) { event in
      if case .recoveredAgain(let image) = event { .recoveredAgain(image: image ^ 1) } else { event }
    }
    #expect(result.violations.first?.invariant == .recoveryIsIdempotent)
  }

  /// As if every run of retention that removes something were a mistake.
  @Test func `a run that breaks a promise is shrunk`() throws {
    let plant: Simulation.InjectedFault = { event in
      if case .trimmed(let first) = event, first > .zero { .failed("planted") } else { event }
    }
    func run(_ script: SimulationScript) -> Simulation.Result { Simulation.run(script, injecting: plant) }
    let script = try #require(
      (seed..<(seed + 60)).lazy.map { SimulationScript(seed: $0) }.first {
        $0.processes.count > 2 && run($0).violations.first?.message == "planted"
      })
    let small = SimulationShrinker.shrink(script, keeping: .honestWorkSucceeds, running: run)
    #expect(run(small).violations.first?.message == "planted")
    // Records enough for two segments, and retention; not one step more.
    let steps = small.processes.flatMap(\.steps)
    #expect(steps.count * 3 < script.processes.reduce(0) { $0 + $1.steps.count } && steps.count <= 10)
    #expect(!small.rots && !small.lies && !small.hasBadSectors && !small.createsOnly)
    for one in small.processes { #expect(one.outcomes.count == 1 && !one.isDisturbed && !one.isStalled) }
    for step in steps { #expect(step.fault == .none && [.append, .trim, .fill].contains(step.action), "\(steps)") }
    for processRun in small.processes.indices {
      for step in small.processes[processRun].steps.indices {
        var smaller = small
        smaller.processes[processRun].steps.remove(at: step)
        #expect(run(smaller).violations.isEmpty)
      }
    }
    // It keeps what it was asked for, not whatever else goes wrong.
    #expect(SimulationShrinker.shrink(small, keeping: .recoveryIsIdempotent, running: run) == small)
  }

  @Test(.timeLimit(.minutes(2)))
  func `a delivery that waits for an end that the log has not reached does nothing meanwhile`() {
    // In this run the router has called, and the delivery may not take what it has: it woke up again and again.
    let result = Simulation.run(SimulationScript(routingSeed: 100_147))
    #expect(result.violations.isEmpty && result.recoveries > 0)
  }

  /// A slice of `make lab-routing`.
  @Test func `destinations that share a router and the writes of their cursors get what they want`() {
    var sum = Simulation.Result()
    for seed in seed..<(seed + 40) {
      let result = Simulation.run(SimulationScript(routingSeed: seed))
      if let violation = result.violations.first { Issue.record("seed \(seed): \(violation)") }
      sum.add(result)
    }
    print(
      "simulated crash-recoveries with routing: \(sum.routedRecoveries) of \(sum.recoveries), "
        + "\(sum.groupedRecoveries) after \(sum.groupedMoves) grouped writes, \(sum.deliveries) deliveries")
    #expect(sum.routedRecoveries > 200 && sum.groupedRecoveries > 200 && sum.groupedMoves > 100)
    #expect(sum.routedReads > 500 && sum.deliveries > 500)
  }

  @Test func `a seed takes the same way again`() {
    for seed in seed..<(seed + 8) {
      let (first, again) = (Simulation.run(SimulationScript(seed: seed)), Simulation.run(SimulationScript(seed: seed)))
      #expect(first.hash == again.hash && first.recoveries == again.recoveries, "seed \(seed)")
      let routed = (0..<2).map { _ in Simulation.run(SimulationScript(routingSeed: seed)) }
      #expect(routed[0].hash == routed[1].hash && routed[0].recoveries == routed[1].recoveries, "seed \(seed)")
    }
  }
}
