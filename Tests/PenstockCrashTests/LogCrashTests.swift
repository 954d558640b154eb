import PenstockSimulation
import PenstockTestKit
import Testing

/// The machine goes down at every I/O of a work with rolls, cursors and intents; what it finds afterwards is chosen in
/// many ways; every promise must hold, and the log must go on from there.
///
/// `PENSTOCK_SEED` picks another seed, `PENSTOCK_CRASH_STEPS` the length of the work.
@Suite struct LogCrashTests {
  private let seed = Setting.number("PENSTOCK_SEED") ?? 20_261_123
  private static let wholeLength: UInt64 = 34
  private let length = Int(Setting.number("PENSTOCK_CRASH_STEPS") ?? wholeLength)
  private var isWhole: Bool { length >= Self.wholeLength }

  /// The work, cut off at this I/O, and each of these outcomes.
  private func crash(
    at point: Int?, _ outcomes: [SimulationScript.Outcome], continues: Bool = false
  ) throws -> Simulation.Result {
    let script = SimulationScript(
      seed: seed &+ UInt64(point ?? 0), work: SimulationScript.work(seed: seed, length: length), crashAtIO: point,
      outcomes: outcomes, sequel: continues ? SimulationScript.work(seed: ~seed, length: 2) : [])
    let result = Simulation.run(script)
    if let violation = result.violations.first {
      let way = Simulation.run(script, verbose: true).steps.last { $0.contains("finds: ") } ?? ""
      throw Violation(violation.invariant, "seed \(seed), crash at I/O \(point ?? 0),\(way): \(violation.message)")
    }
    try #require(point == nil || result.ios == point, "the work ended before I/O \(point ?? 0)")
    return result
  }

  private func crashPoints() throws -> ClosedRange<Int> {
    let whole = try crash(at: nil, [])
    #expect(whole.sealed >= min(2, length / 17), "a work that seals nothing proves nothing of it")
    #expect(whole.joinedSyncs >= length / 4, "a work that syncs every block proves nothing of those that wait")
    #expect(whole.rollsBetween >= length / 34, "nor of a segment that ends between two of them")
    #expect(whole.passes >= min(2, length / 17), "a work in which retention passes no cursor proves nothing of it")
    return 1...whole.ios
  }

  /// What a machine may find, for one crash point.
  private func powerCuts(_ point: Int) -> [CrashPolicy] {
    let salt = seed &+ UInt64(point) &* 1_000
    return [.nothingUnsynced, .everything]
      + (0..<16).map { .seeded(salt + $0) }
      + (16..<24).map { .seeded(salt + $0, .tornSectors) }
      + (24..<32).map { .seeded(salt + $0, [.tornSectors, .unorderedDirectories]) }
  }

  @Test func `every acknowledged record survives a power cut at every write, sync and rename`() throws {
    let points = try crashPoints()
    var covered = 0
    for point in points {
      // A process that dies while the machine does not; and the power, while the next one recovers from what that left
      // in the page cache.
      let kills = (2..<18).map { number in
        SimulationScript.Outcome.killThenPower(io: number / 2, .seeded(seed &+ UInt64(number)))
      }
      let outcomes = powerCuts(point).map(SimulationScript.Outcome.power) + [.kill] + kills
      _ = try crash(at: point, outcomes, continues: true)
      covered += outcomes.count
    }
    print("crash points covered: \(covered) (\(points.upperBound) I/Os, seed \(seed))")
    #expect(covered >= (isWhole ? 10_000 : 1_000))
  }

  @Test func `a second crash, inside recovery, changes nothing`() throws {
    var covered = 0
    for point in stride(from: 1, through: try crashPoints().upperBound, by: 7) {
      for policy in [CrashPolicy.seeded(seed &+ UInt64(point)), .seeded(seed &+ 1, .tornSectors)] {
        // Crash at the first I/O of recovery, at the second, … until it gets through.
        var depths = 1...25
        while true {
          let outcomes = depths.map { SimulationScript.Outcome.powerInRecovery(policy, ios: [$0]) }
          let crashes = try crash(at: point, outcomes).crashesInRecovery
          covered += crashes
          if crashes < depths.count { break }
          depths = (depths.upperBound + 1)...(depths.upperBound + 25)
        }
      }
    }
    print("crash points inside recovery covered: \(covered) (seed \(seed))")
    #expect(covered >= (isWhole ? 400 : 40))
  }

  @Test func `recovering twice leaves the bytes that recovering once left`() throws {
    let points = try crashPoints().upperBound
    var cuts = 0
    // Some forty, however short the work is.
    for point in stride(from: 5, through: points, by: max(1, points / 40)) {
      cuts += try crash(at: point, [.powerTwice(.seeded(seed &+ UInt64(point), .tornSectors))]).cuts
    }
    print("recoveries that cut something, and were followed by another: \(cuts) (seed \(seed))")
    #expect(cuts >= 3, "crashes that tear nothing prove nothing of the cut")
  }
}
