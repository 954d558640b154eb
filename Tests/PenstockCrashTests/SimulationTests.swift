import PenstockTestKit
import Testing

/// A slice of `make lab-sim`, which goes on for as long as it is told.
@Suite struct SimulationTests {
  private let seed = Setting.number("PENSTOCK_SEED") ?? 20_261_123

  @Test func `worlds of appends, seals, retention and deliveries with crashes and faults break no promise`() {
    var sum = Simulation.Result()
    for seed in seed..<(seed + 60) {
      let result = Simulation.run(SimulationScript(seed: seed))
      if let violation = result.violations.first { Issue.record("seed \(seed): \(violation)") }
      sum.recoveries += result.recoveries
      sum.deliveries += result.deliveries
      sum.sealed += result.sealed
      sum.trims += result.trims
      sum.lies += result.lies
      sum.liesReported += result.liesReported
    }
    print(
      "simulated crash-recoveries: \(sum.recoveries), \(sum.deliveries) deliveries, \(sum.sealed) seals (seed \(seed))")
    // Of the writes that the disk loses or misdirects some were zeros, or an index: nothing is lost with them.
    #expect(sum.lies > 5 && sum.liesReported > 3)
    #expect(sum.recoveries > 1_500 && sum.deliveries > 100 && sum.sealed > 20 && sum.trims > 10)
  }

  @Test func `a seed takes the same way again`() {
    for seed in seed..<(seed + 8) {
      let (first, again) = (Simulation.run(SimulationScript(seed: seed)), Simulation.run(SimulationScript(seed: seed)))
      #expect(first.hash == again.hash && first.recoveries == again.recoveries, "seed \(seed)")
    }
  }
}
