import PenstockLog
import PenstockTestKit

// What a crash leaves, and what the next process makes of it.
extension SmallScope {
  /// The machine goes down: a killed process, where the crash is the first, and all that a power cut can leave.
  mutating func crash(_ disk: SimulatedDisk, _ branch: Simulation.Branch, crashesLeft: Int, _ way: [Crash]) {
    count.crashes += 1
    simulation.branch = branch
    simulation.note(.crashed)
    let branch = simulation.branch
    func step(_ outcome: Crash.Outcome) -> [Crash] {
      way + [Crash(io: disk.ioCount, lastIO: disk.lastIO, outcome: outcome)]
    }
    if way.isEmpty { recover(disk.afterProcessKill(), branch, crashesLeft, step(.kill)) }
    let promises = branch.digest
    guard let cuts = PowerCuts(disk, atMost: settings.outcomes) else {
      return sample(disk, branch, promises, crashesLeft, step)
    }
    for number in 0..<cuts.count where finding == nil {
      count.outcomes += 1
      look(
        cuts.disk(number), cuts.digest(number), branch, promises, crashesLeft, step(.powerCut(number, of: cuts.count)))
    }
  }

  /// More outcomes than can be looked at.
  private mutating func sample(
    _ disk: SimulatedDisk, _ branch: Simulation.Branch, _ promises: UInt64, _ crashesLeft: Int,
    _ step: (Crash.Outcome) -> [Crash]
  ) {
    count.sampled += 1
    let seeded = (0..<UInt64(settings.samples)).map { CrashPolicy.seeded($0, .unorderedDirectories) }
    for (number, policy) in ([.nothingUnsynced, .everything] + seeded).enumerated() where finding == nil {
      count.outcomes += 1
      let found = disk.afterPowerCut(policy)
      // Nothing is unsynced any more.
      let digest = PowerCuts(found, atMost: 1)?.digest(0) ?? 0
      look(found, digest, branch, promises, crashesLeft, step(.sample(number)))
    }
  }

  private mutating func look(
    _ disk: @autoclosure () -> SimulatedDisk, _ digest: UInt64, _ branch: Simulation.Branch, _ promises: UInt64,
    _ crashesLeft: Int, _ way: @autoclosure () -> [Crash]
  ) {
    var key = TraceHash()
    key.mix(digest)
    key.mix(promises)
    guard isNew(key.value, crashesLeft) else { return }
    count.different += 1
    recover(disk(), branch, crashesLeft, way())
  }

  /// The next process opens the log: it must be as promised, and take an append; unless a recovery was cut off before,
  /// that append must survive the power going. Then the same with the power going at each I/O of the opening.
  private mutating func recover(
    _ disk: SimulatedDisk, _ branch: Simulation.Branch, _ crashesLeft: Int, _ way: [Crash]
  ) {
    let found = SimulatedFileSystem(disk)
    simulation.branch = branch
    if crashesLeft > 0 { found.keepEachIO() }
    var points: [SimulatedDisk] = []
    do throws(LogError) {
      let writer = try open(found)
      points = found.takeKept()
      found.keepNothing()
      try simulation.judge(writer, found)
      if simulation.hasFailed { return _ = fail(way) }
      try append([outgoing()], to: writer)
      if way.count == 1 {
        simulation.note(.crashed)
        let later = found.powerCut(.nothingUnsynced)
        try simulation.judge(try open(later), later)
      }
    } catch {
      simulation.note(.failed("the log that a crash left cannot be used: \(error)"))
    }
    if simulation.hasFailed { return _ = fail(way) }
    for point in points where finding == nil { crash(point, branch, crashesLeft: crashesLeft - 1, way) }
  }

  private mutating func open(_ disk: SimulatedFileSystem) throws(LogError) -> LogWriter {
    count.recoveries += 1
    return try LogOpening.open(Simulation.path, simulation.configuration, simulation.environment(disk))
  }
}

extension Simulation.Branch {
  /// Of everything that decides what will be said of what comes; equal in one process only.
  var digest: UInt64 {
    var hasher = Hasher()
    checker.hash(into: &hasher)
    hasher.combine(sealed)
    hasher.combine(dropped)
    hasher.combine(unanswered)
    hasher.combine(sequence)
    hasher.combine(unsent.map(\.sequence))
    return UInt64(truncatingIfNeeded: hasher.finalize())
  }
}
