import PenstockLog
import PenstockSimulation
import PenstockTestKit

/// Every sequence of so many calls, every crash, everything that a crash can leave.
struct SmallScopeSuite {
  private let settings: SmallScope.Settings
  private let threads: Int
  private let start = ContinuousClock.now

  init(_ options: Options) {
    options.allow("scope", "depth", "threads")
    settings = SmallScope.Settings(
      length: Int(options.number("scope") ?? 4), depth: Int(options.number("depth") ?? 3))
    threads = max(1, Int(options.number("threads") ?? 2))
  }

  func run() {
    let told = Monitor(start)
    let (count, findings) = SmallScopeSearch(settings, threads: threads).run { count in
      let isDue = told.withLock { last in
        guard ContinuousClock.now - last > .seconds(30) else { return false }
        last = .now
        return true
      }
      if isDue { tell(words(count, "…")) }
    }
    say(words(count, findings.isEmpty ? "complete, 0 violations" : "VIOLATION"))
    for finding in findings.prefix(3) { tell("\n\(finding)") }
    finish(isClean: findings.isEmpty)
  }

  private func words(_ count: SmallScope.Count, _ end: String) -> String {
    "small scope  \(count.sequences) sequences of up to \(settings.length) calls "
      + "(\(count.idle) with nothing to do at their end), "
      + "\(count.crashes) crashes, up to \(settings.depth) in recovery, \(count.outcomes) outcomes, "
      + "\(count.different) different, \(count.recoveries) openings, "
      + "not exhaustive at \(count.sampled) crashes, \(Int((ContinuousClock.now - start) / .seconds(1))) s: \(end)"
  }
}
