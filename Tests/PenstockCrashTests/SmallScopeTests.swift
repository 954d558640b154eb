import PenstockSimulation
import PenstockTestKit
import Testing

/// A slice of `make lab-small`, which goes up to four calls and three crashes in recovery.
@Suite struct SmallScopeTests {
  private func search(length: Int, depth: Int) -> SmallScope.Count {
    let (count, findings) = SmallScopeSearch(.init(length: length, depth: depth), threads: 1).run()
    for finding in findings { Issue.record("\(finding)") }
    print(
      "small scope: \(count.sequences) sequences, \(count.crashes) crashes, \(count.outcomes) outcomes, "
        + "\(count.different) different, \(count.sampled) sampled, \(count.recoveries) openings")
    return count
  }

  @Test func `two calls of any kind, a crash at each of their writes, and all that it can leave break no promise`() {
    let count = search(length: 2, depth: 0)
    #expect(count.sequences == 43 && count.crashes > 300 && count.different > 2_000)
  }

  /// A creation that was killed left its directories in memory alone, and META was durable before them.
  @Test func `a log being created survives every crash, and another one in the recovery from it`() {
    let count = search(length: 0, depth: 1)
    #expect(count.crashes > 2_000 && count.different > 1_000 && count.sampled == 0)
  }
}
