import PenstockLog
import PenstockSimulation
import PenstockTestKit

/// Every bit, every sector, every truncation of a 1 MiB image.
struct SweepSuite {
  private let stride: Int
  private let start = ContinuousClock.now

  init(_ options: Options) {
    options.allow("stride")
    stride = max(1, Int(options.number("stride") ?? 1))
  }

  func run() {
    let counts = Monitor((bits: [ImageSweep.Count](), openings: [[(String, ImageSweep.Count)]](), failure: ""))
    let cores = 2
    for core in 0..<cores {
      LogThread.start(name: "penstock-lab") { [self] in
        do {
          let sweep = try ImageSweep()
          let bits = try sweep.bits(stride: stride, part: core, of: cores)
          let openings = try sweep.openings(stride: stride, part: core, of: cores)
          counts.withLock {
            $0.bits.append(bits)
            $0.openings.append(openings)
          }
        } catch { counts.withLock { $0.failure = "\(error)" } }
        counts.signal()
      }
    }
    let all = counts.wait { $0.bits.count == cores || !$0.failure.isEmpty ? $0 : nil }
    if !all.failure.isEmpty { fail(all.failure) }
    var kinds: [(name: String, counts: [ImageSweep.Count])] = [("flipped bits", all.bits)]
    for (index, kind) in (all.openings.first ?? []).enumerated() {
      kinds.append((kind.0, all.openings.map { $0[index].1 }))
    }
    for kind in kinds { detail(kind.name, kind.counts) }
    let every = kinds.flatMap { $0.counts }
    let silent = every.reduce(0) { $0 + $1.silent.count }
    let excess = every.reduce(0) { $0 + $1.excess.count }
    func most(_ limit: Int) -> Int { every.filter { $0.limit == limit }.map(\.blocksLost).max() ?? 0 }
    say(
      "sweep  \(kinds.map { "\(Self.tried($0.counts)) \($0.name)" }.joined(separator: ", ")), "
        + "\(Int((ContinuousClock.now - start) / .seconds(1))) s: \(silent) not noticed or wrongly judged, "
        + "\(most(1)) block lost at most, \(most(2)) where two pages were swapped, \(excess) times more than that")
    finish(isClean: silent + excess == 0)
  }

  private static func tried(_ counts: [ImageSweep.Count]) -> Int { counts.reduce(0) { $0 + $1.tried } }

  private func detail(_ name: String, _ counts: [ImageSweep.Count]) {
    let broken = counts.flatMap { $0.silent + $0.excess }
    tell(
      "\(Self.tried(counts)) \(name): \(broken.count) not as they should be, "
        + "at most \(counts.map(\.blocksLost).max() ?? 0) blocks lost, "
        + "\(counts.reduce(0) { $0 + $1.harmless }) harmless")
    for line in broken.prefix(5) { tell("  ⇒ \(line)") }
  }
}
