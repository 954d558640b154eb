import PenstockLog

/// Runs a ``SmallScope`` on some threads: shorter sequences first, so that what is found is found on a shortest way.
package final class SmallScopeSearch: Sendable {
  private struct Shared {
    var open: [[SmallScope.Call]] = [[]]
    var next = 0
    var busy = 0
    var running: Int
    var count = SmallScope.Count()
    var findings: [SmallScope.Finding] = []
  }

  private let settings: SmallScope.Settings
  private let shared: Monitor<Shared>
  /// What was looked at, and with how many crashes to come, in parts, so that threads seldom wait for each other.
  private let seen: [Monitor<[UInt64: UInt8]>]
  private let threads: Int

  package init(_ settings: SmallScope.Settings, threads: Int) {
    self.settings = settings
    self.threads = threads
    shared = Monitor(Shared(running: threads))
    seen = (0..<16).map { _ in Monitor([:]) }
  }

  /// Blocks until the search is complete or has a finding. It calls `progress` from time to time.
  package func run(
    progress: @escaping @Sendable (SmallScope.Count) -> Void = { _ in }
  ) -> (count: SmallScope.Count, findings: [SmallScope.Finding]) {
    if threads == 1 {
      work(progress)
    } else {
      for _ in 0..<threads { LogThread.start(name: "penstock-lab") { [self] in work(progress) } }
    }
    return shared.wait { $0.running == 0 ? ($0.count, $0.findings) : nil }
  }

  private func work(_ progress: @Sendable (SmallScope.Count) -> Void) {
    var scope = SmallScope(settings) { [seen] key, crashesLeft in
      seen[Int(key % UInt64(seen.count))].withLock { seen in
        if let known = seen[key], known >= crashesLeft { return false }
        seen[key] = UInt8(crashesLeft)
        return true
      }
    }
    while let calls = take() {
      scope.count = SmallScope.Count()
      let goesOn = scope.run(calls)
      let total = shared.withLock { shared in
        shared.busy -= 1
        shared.count.add(scope.count)
        if let finding = scope.finding { shared.findings.append(finding) }
        if goesOn, calls.count < settings.length { shared.open += SmallScope.Call.allCases.map { calls + [$0] } }
        return shared.count
      }
      shared.signalAll()
      progress(total)
    }
    shared.withLock { $0.running -= 1 }
    shared.signalAll()
  }

  /// The next sequence; nil when there is none and will be none.
  private func take() -> [SmallScope.Call]? {
    shared.wait { (shared) -> [SmallScope.Call]?? in
      guard shared.findings.isEmpty else { return .some(nil) }
      if shared.next < shared.open.count {
        defer { shared.next += 1 }
        shared.busy += 1
        return shared.open[shared.next]
      }
      return shared.busy == 0 ? .some(nil) : nil
    }
  }
}
