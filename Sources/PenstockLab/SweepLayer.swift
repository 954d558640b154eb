import PenstockLog
import PenstockTestKit

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Every bit, every sector, every truncation of a 1 MiB image.
struct SweepLayer {
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
    var isClean = tell("flipped bits", all.bits)
    for (index, name) in (all.openings.first ?? []).map(\.0).enumerated() {
      if !tell(name, all.openings.map { $0[index].1 }) { isClean = false }
    }
    exit(isClean ? 0 : 1)
  }

  private func tell(_ name: String, _ counts: [ImageSweep.Count]) -> Bool {
    let silent = counts.flatMap(\.silent)
    let taken = (ContinuousClock.now - start) / .seconds(1)
    print(
      "sweep  \(counts.reduce(0) { $0 + $1.tried }) \(name): \(silent.count) not noticed or wrongly judged, "
        + "at most \(counts.map(\.blocksLost).max() ?? 0) blocks lost, "
        + "\(counts.reduce(0) { $0 + $1.harmless }) harmless, \(Int(taken)) s in all")
    for line in silent.prefix(5) { print("  ⇒ \(line)") }
    fflush(nil)
    return silent.isEmpty
  }
}
