import PenstockLog

// Damage.
extension Simulation {
  /// A drive changes bytes at rest: everything lost must be reported, and nothing wrong be served.
  mutating func rot(_ disk: SimulatedFileSystem) {
    var random = SplitMix64(seed: script.seed ^ 0x726f_74)
    let found = disk.powerCut(.everything)
    let segments = found.filePaths.filter { $0.hasSuffix(".seg") }
    guard !segments.isEmpty else { return }
    for _ in 0...random.below(3) {
      let path = segments[random.below(segments.count)]
      let size = found.size(of: path) ?? 0
      guard size > 512 else { continue }
      let position = random.below(size)
      tell("  rot in \(path) at \(position)")
      switch random.below(3) {
      case 0: found.flipBit(path, at: position, bit: random.below(8))
      case 1: found.overwrite(path, at: position / 512 * 512, [UInt8](repeating: 0, count: 512))
      default:
        // What belongs elsewhere.
        let other = found.contents(segments[random.below(segments.count)]) ?? []
        let from = random.below(max(1, other.count / 512)) * 512
        found.overwrite(path, at: position / 512 * 512, Array(other[from..<min(other.count, from + 512)]))
      }
    }
    note(.damaged(nil))
    note(.crashed)
    result.recoveries += 1
    do throws(LogError) {
      let writer = try LogOpening.open(Self.path, configuration, environment(found))
      note(.recovered(look(at: writer, found)))
    } catch {
      // Refusing to open a log whose newest segment cannot be believed is a report, too.
      let honest: [LogError.Code] = [.damaged, .futureFormat, .readOnlyFormat, .undecidableTail, .notALog]
      if !honest.contains(error.code) { note(.failed("a damaged log is met with \(error)")) }
    }
    hash.mix(found.traceHash)
  }
}
