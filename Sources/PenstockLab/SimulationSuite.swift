import PenstockLog
import PenstockSimulation
import PenstockTestKit

/// Simulated runs of consecutive seeds, on all cores. It ends when the time is over, the number is reached, or a run
/// breaks a promise.
struct SimulationSuite {
  private struct Shared {
    var next: UInt64
    var runs = 0
    var total = Simulation.Result()
    /// The sum of the runs' digests: equal for equal seeds, in whatever order the runs end.
    var hash: UInt64 = 0
    var failed: [UInt64] = []
    var running: Int
    var lastTold = ContinuousClock.now
  }

  private let first: UInt64
  private let count: UInt64
  private let seconds: UInt64?
  private let threads: Int
  private let tells: Bool
  private let start = ContinuousClock.now

  init(_ options: Options) {
    options.allow("seed", "seconds", "worlds", "threads", "tell")
    first = options.number("seed") ?? 1
    tells = options.number("tell") == 1
    seconds = options.number("seconds")
    count = tells ? 1 : options.number("worlds") ?? (seconds == nil ? 1_000 : .max)
    threads = Int(options.number("threads") ?? 2)
  }

  func run() {
    if tells { return story() }
    let shared = Monitor(Shared(next: first, running: threads))
    for _ in 0..<threads {
      LogThread.start(name: "penstock-lab") { [self] in work(shared) }
    }
    let total = shared.wait { $0.running == 0 ? $0 : nil }
    say(words(total, isFinal: true))
    for seed in total.failed.sorted().prefix(3) { explain(seed) }
    finish(isClean: total.failed.isEmpty)
  }

  private func work(_ shared: Monitor<Shared>) {
    while true {
      let seed: UInt64? = shared.withLock { shared in
        guard shared.failed.isEmpty, shared.next - first < count, !isOver else { return nil }
        defer { shared.next += 1 }
        return shared.next
      }
      guard let seed else { break }
      let result = Simulation.run(SimulationScript(seed: seed))
      shared.withLock { shared in
        shared.runs += 1
        shared.total.add(result)
        shared.hash &+= result.hash &* (seed | 1)
        if !result.violations.isEmpty { shared.failed.append(seed) }
        if ContinuousClock.now - shared.lastTold > .seconds(30) {
          shared.lastTold = .now
          tell(words(shared, isFinal: false))
        }
      }
    }
    shared.withLock { $0.running -= 1 }
    shared.signal()
  }

  private var isOver: Bool { seconds.map { ContinuousClock.now - start >= .seconds(Int64($0)) } ?? false }

  private func words(_ shared: Shared, isFinal: Bool) -> String {
    let total = shared.total
    let taken = Double((ContinuousClock.now - start) / .milliseconds(1)) / 1_000
    let rate = Int(Double(total.recoveries) / max(taken, 0.001) / Double(threads))
    let figures =
      "simulation  \(total.recoveries) crash-recoveries of \(shared.runs) runs in \(Int(taken)) s "
      + "(\(rate)/s on each of \(threads) cores), seeds \(first)–\(shared.next - 1), \(total.records) records, "
      + "\(total.deliveries) deliveries (\(total.found) found there already), \(total.sealed) seals, "
      + "\(total.trims) trims, "
      + "\(total.repetitions) recoveries repeated and compared, \(total.failedReads) with a failed read, "
      + "\(total.badSectors) disks with unreadable sectors, "
      + "\(total.lies) writes lost or misdirected by the disk "
      + "(\(total.liesReported) reported, the others lost no record)"
    if !isFinal { return figures + " …" }
    return figures + ", trace \(String(shared.hash, radix: 16)): "
      + (shared.failed.isEmpty ? "0 violations" : "VIOLATION in \(shared.failed.sorted())")
  }

  /// Repeats a failing run, shrunk, step by step.
  private func explain(_ seed: UInt64) {
    let script = SimulationScript(seed: seed)
    let whole = Simulation.run(script)
    guard let violation = whole.violations.first else { return }
    tell("\nseed \(seed): \(violation)")
    let small = SimulationShrinker.shrink(script, keeping: violation.invariant)
    let result = Simulation.run(small, verbose: true)
    tell("the shortest way to it (all of it: make lab-sim SEED=\(seed) TELL=1):")
    for step in result.steps { tell("  " + step) }
    for violation in result.violations { tell("  ⇒ \(violation)") }
  }

  private func story() {
    let result = Simulation.run(SimulationScript(seed: first), verbose: true)
    for step in result.steps { tell(step) }
    for violation in result.violations { tell("⇒ \(violation)") }
    print("simulation  seed \(first): \(result.recoveries) crash-recoveries, trace \(String(result.hash, radix: 16))")
    finish(isClean: result.violations.isEmpty)
  }
}
