import PenstockTestKit
import Testing

/// A slice of `make lab-small`, which goes up to four calls and three crashes in recovery.
@Suite struct SmallScopeTests {
  @Test func `all sequences of two calls, all crashes, all that they can leave, and a crash in recovery break no promise`()
  {
    let (count, findings) = SmallScopeSearch(.init(length: 2, depth: 1), threads: 1).run()
    for finding in findings { Issue.record("\(finding)") }
    print(
      "small scope: \(count.sequences) sequences, \(count.crashes) crashes, \(count.outcomes) outcomes, "
        + "\(count.different) different, \(count.sampled) sampled, \(count.recoveries) openings")
    #expect(count.sequences > 30 && count.crashes > 500 && count.different > 500)
  }
}
