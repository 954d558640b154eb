@testable import PenstockLog
import Testing

@Suite struct AdaptiveSpinTests {
  @Test func `who meets somebody waits awake every time, who does not ever more rarely`() {
    var rule = AdaptiveSpin(processors: 2)
    for _ in 0..<10 {
      if !rule.mayWait() { Issue.record("sleeps although it meets somebody every time") }
      rule.waited(hasMet: true)
    }
    var times: [Int] = []
    for commit in 0..<2_000 where rule.mayWait() {
      rule.waited(hasMet: false)
      times.append(commit)
    }
    #expect(times.prefix(6) == [0, 2, 5, 10, 19, 36])
    let gaps = zip(times.dropFirst(), times).map(-)
    #expect(gaps.allSatisfy { $0 <= AdaptiveSpin.maxSkip + 1 } && gaps.last == AdaptiveSpin.maxSkip + 1)
    // Once is enough to begin again.
    while !rule.mayWait() {}
    rule.waited(hasMet: true)
    let mayWait = rule.mayWait()
    #expect(mayWait)
  }

  @Test func `with a single processor it never waits awake`() {
    var rule = AdaptiveSpin(processors: 1)
    for _ in 0..<1_000 where rule.mayWait() { Issue.record("waits") }
  }
}
