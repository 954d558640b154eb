import PenstockLog
import PenstockSimulation
import PenstockTestKit

/// Simulated runs of consecutive seeds, on all cores. It ends when the time is over, the number is reached, or a run
/// breaks a promise.
struct SimulationSuite {
  private struct Shared {
    var next: UInt64
    /// Of all runs before `counted`, which have ended.
    var total = SimulationProgress()
    /// Results of later runs.
    var early: [UInt64: Simulation.Result] = [:]
    var failed: [UInt64] = []
    var running: Int
    var lastTold = ContinuousClock.now
  }

  private let first: UInt64
  private let count: UInt64
  private let recoveries: Int
  private let seconds: UInt64?
  private let threads: Int
  private let tells: Bool
  private let isRouting: Bool
  private let progress: String?
  private let start = ContinuousClock.now

  init(_ options: Options) {
    options.allow("seed", "seconds", "worlds", "recoveries", "threads", "tell", "routing")
    first = options.number("seed") ?? 1
    tells = options.number("tell") == 1
    isRouting = options.number("routing") == 1
    seconds = options.number("seconds")
    recoveries = Int(options.number("recoveries") ?? UInt64(Int.max))
    let isBounded = seconds != nil || recoveries < .max
    count = tells ? 1 : options.number("worlds") ?? (isBounded ? .max : 1_000)
    threads = Int(options.number("threads") ?? 2)
    progress = options.progress
  }

  func run() {
    if tells { return story() }
    let total = progress.flatMap { SimulationProgress(reading: $0, from: first) } ?? SimulationProgress(next: first)
    let shared = Monitor(Shared(next: total.next, total: total, running: threads))
    for _ in 0..<threads {
      LogThread.start(name: "penstock-lab") { [self] in work(shared) }
    }
    let end = shared.wait { $0.running == 0 ? $0 : nil }
    if let progress { end.total.write(to: progress, from: first) }
    say(words(end, isFinal: true))
    for seed in end.failed.sorted().prefix(3) { explain(seed) }
    finish(isClean: end.failed.isEmpty)
  }

  private func script(_ seed: UInt64) -> SimulationScript {
    isRouting ? SimulationScript(routingSeed: seed) : SimulationScript(seed: seed)
  }

  private func work(_ shared: Monitor<Shared>) {
    while true {
      let seed: UInt64? = shared.withLock { shared in
        guard shared.failed.isEmpty, shared.next - first < count, shared.total.result.recoveries < recoveries, !isOver
        else { return nil }
        defer { shared.next += 1 }
        return shared.next
      }
      guard let seed else { break }
      let result = Simulation.run(script(seed))
      shared.withLock { shared in
        shared.early[seed] = result
        if !result.violations.isEmpty { shared.failed.append(seed) }
        while let next = shared.early.removeValue(forKey: shared.total.next) { shared.total.add(next) }
        if ContinuousClock.now - shared.lastTold > .seconds(30) {
          shared.lastTold = .now
          if let progress { shared.total.write(to: progress, from: first) }
          tell(words(shared, isFinal: false))
        }
      }
    }
    shared.withLock { $0.running -= 1 }
    shared.signal()
  }

  private var isOver: Bool { seconds.map { ContinuousClock.now - start >= .seconds(Int64($0)) } ?? false }

  private func words(_ shared: Shared, isFinal: Bool) -> String {
    let total = shared.total.result
    let taken = Double((ContinuousClock.now - start) / .milliseconds(1)) / 1_000
    let rate = Int(Double(total.recoveries) / max(taken, 0.001) / Double(threads))
    let routing =
      isRouting
      ? "\(total.routedRecoveries) of them after routed deliveries, \(total.groupedRecoveries) after writes that moved "
        + "several cursors; \(total.routedReads) records read by routers, \(total.groupedMoves) such writes; " : ""
    let figures =
      "simulation  \(total.recoveries) crash-recoveries of \(shared.total.next - first) runs in \(Int(taken)) s "
      + "(\(rate)/s on each of \(threads) cores), seeds \(first)–\(shared.total.next - 1), \(routing)"
      + "\(total.records) records, "
      + "\(total.deliveries) deliveries (\(total.found) found there already), \(total.sealed) seals, "
      + "\(total.trims) trims, "
      + "\(total.repetitions) recoveries repeated and compared, \(total.failedReads) with a failed read, "
      + "\(total.badSectors) disks with unreadable sectors, "
      + "\(total.lies) writes lost or misdirected by the disk "
      + "(\(total.liesReported) reported, the others lost no record)"
    if !isFinal { return figures + " …" }
    return figures + ", trace \(String(shared.total.hash, radix: 16)): "
      + (shared.failed.isEmpty ? "0 violations" : "VIOLATION in \(shared.failed.sorted())")
  }

  /// Repeats a failing run, shrunk, step by step.
  private func explain(_ seed: UInt64) {
    let script = script(seed)
    let whole = Simulation.run(script)
    guard let violation = whole.violations.first else { return }
    tell("\nseed \(seed): \(violation)")
    let small = SimulationShrinker.shrink(script, keeping: violation.invariant)
    let result = Simulation.run(small, verbose: true)
    tell("the shortest way to it (all of it: make lab-\(isRouting ? "routing" : "sim") SEED=\(seed) TELL=1):")
    for step in result.steps { tell("  " + step) }
    for violation in result.violations { tell("  ⇒ \(violation)") }
  }

  private func story() {
    let result = Simulation.run(script(first), verbose: true)
    for step in result.steps { tell(step) }
    for violation in result.violations { tell("⇒ \(violation)") }
    print("simulation  seed \(first): \(result.recoveries) crash-recoveries, trace \(String(result.hash, radix: 16))")
    finish(isClean: result.violations.isEmpty)
  }
}
