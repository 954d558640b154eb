import PenstockLog
import PenstockTestKit
import Testing

/// The machine goes down at every I/O of a workload with rolls, cursors and intents; what it finds afterwards is chosen
/// in many ways; every promise must hold, and the log must go on from there.
///
/// `PENSTOCK_SEED` picks another seed, `PENSTOCK_CRASH_STEPS` the length of the workload.
@Suite struct LogCrashTests {
  private let seed = Setting.number("PENSTOCK_SEED") ?? 20_261_123
  private static let wholeLength: UInt64 = 34
  private let steps = Int(Setting.number("PENSTOCK_CRASH_STEPS") ?? wholeLength)
  private var isWhole: Bool { steps >= Self.wholeLength }

  /// What a machine may find, for one crash point.
  private func policies(_ point: Int) -> [CrashPolicy] {
    let salt = seed &+ UInt64(point) &* 1_000
    return [.nothingUnsynced, .everything]
      + (0..<16).map { .seeded(salt + $0) }
      + (16..<24).map { .seeded(salt + $0, .tornSectors) }
      + (24..<32).map { .seeded(salt + $0, [.tornSectors, .unorderedDirectories]) }
  }

  @Test func `every acknowledged record survives a power cut at every write, sync and rename`() throws {
    let points = try crashPoints()
    var covered = 0
    for point in 1...points {
      let (workload, disk) = try crashed(at: point)
      for (index, policy) in policies(point).enumerated() {
        var after = workload
        let found = disk.powerCut(policy)
        try explain(point, policy) {
          try after.check(found, salt: UInt64(index) + 7)
          // The log must not only be readable: it must go on, and survive being opened again.
          try after.run(found.processKill(), salt: UInt64(index) + 8, steps: 2)
        }
        covered += 1
      }
      covered += try killed(workload, disk, point)
    }
    print("crash points covered: \(covered) (\(points) I/Os, seed \(seed))")
    #expect(covered >= (isWhole ? 10_000 : 1_000))
  }

  @Test func `a second crash, inside recovery, changes nothing`() throws {
    let points = try crashPoints()
    var covered = 0
    for point in stride(from: 1, through: points, by: 7) {
      let (workload, disk) = try crashed(at: point)
      for policy in [CrashPolicy.seeded(seed &+ UInt64(point)), .seeded(seed &+ 1, .tornSectors)] {
        var depth = 1
        // Crash at the first I/O of recovery, at the second, … until it gets through.
        while true {
          let first = disk.powerCut(policy)
          first.crash(atIO: depth)
          var after = workload
          let isThrough = (try? after.check(first, salt: 3)) != nil
          if isThrough { break }
          let second = first.powerCut(.seeded(seed &+ UInt64(depth)))
          try explain(point, policy) { try after.check(second, salt: 4) }
          depth += 1
          covered += 1
        }
      }
    }
    print("crash points inside recovery covered: \(covered) (seed \(seed))")
    #expect(covered >= (isWhole ? 400 : 40))
  }

  @Test func `recovering twice leaves the bytes that recovering once left`() throws {
    var cuts = 0
    let points = try crashPoints()
    // Some forty, however short the workload is.
    for point in stride(from: 5, through: points, by: max(1, points / 40)) {
      let (workload, disk) = try crashed(at: point)
      let found = disk.powerCut(.seeded(seed &+ UInt64(point), .tornSectors))
      var once = workload
      if try once.check(found, salt: 3).cutBytes > 0 { cuts += 1 }
      let data = segments(of: found)
      let again = found.processKill()
      // Recovery removed the cut bytes: nothing of them is after newer data, to be cut again or to come back.
      let report = try once.check(again, salt: 4)
      #expect(report.outcome == .clean && report.cutBytes == 0, "point \(point): \(report)")
      #expect(segments(of: again) == data, "point \(point)")
    }
    print("recoveries that cut something, and were followed by another: \(cuts) (seed \(seed))")
    #expect(cuts >= 3, "crashes that tear nothing prove nothing of the cut")
  }

  private func segments(of disk: SimulatedFileSystem) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for path in disk.filePaths where path.hasSuffix(".seg") {
      // Zeros at the end are room for blocks: an opening gives them back.
      let bytes = disk.contents(path) ?? []
      files[path] = Array(bytes.prefix((bytes.lastIndex { $0 != 0 } ?? -1) + 1))
    }
    return files
  }

  private func crashPoints() throws -> Int {
    let disk = SimulatedFileSystem(seed: seed)
    var workload = CrashWorkload(seed: seed)
    try workload.run(disk, salt: 1, steps: steps)
    #expect(workload.promises.sealed.count >= min(2, steps / 17), "a workload that seals nothing proves nothing of it")
    #expect(workload.joinedSyncs >= steps / 4, "a workload that syncs every block proves nothing of those that wait")
    #expect(workload.rollsBetween >= steps / 34, "nor of a segment that ends between two of them")
    #expect(
      workload.passes.all >= min(2, steps / 17), "a workload in which retention passes no cursor proves nothing of it")
    return disk.ioCount
  }

  private func crashed(at point: Int) throws -> (CrashWorkload, SimulatedFileSystem) {
    let disk = SimulatedFileSystem(seed: seed &+ UInt64(point))
    disk.crash(atIO: point)
    var workload = CrashWorkload(seed: seed)
    do throws(LogError) {
      try workload.run(disk, salt: 1, steps: steps)
    } catch {
      guard disk.isDown else { throw error }
    }
    try #require(disk.isDown, "the workload ended before I/O \(point)")
    return (workload, disk)
  }

  /// The process dies and the machine does not: everything written is there.
  private func killed(_ workload: CrashWorkload, _ disk: SimulatedFileSystem, _ point: Int) throws -> Int {
    var after = workload
    let found = disk.processKill()
    try explain(point, .everything) {
      try after.check(found, salt: 5)
      // What was seen after the kill must also survive a power cut: it was synced before it was shown.
      let later = found.powerCut(.nothingUnsynced)
      try after.check(later, salt: 6)
    }
    // First the process dies, then, while the next one recovers from what it finds in the page cache, the power.
    var covered = 1
    for depth in 1...8 {
      let found = disk.processKill()
      found.crash(atIO: depth)
      after = workload
      do { try after.check(found, salt: 5) } catch { guard found.isDown else { throw error } }
      for salt in 0..<2 {
        var last = after
        try explain(point, .seeded(UInt64(salt))) {
          try last.check(found.powerCut(.seeded(seed &+ UInt64(depth * 2 + salt))), salt: 6)
        }
        covered += 1
      }
    }
    return covered
  }

  private func explain(_ point: Int, _ policy: CrashPolicy, _ body: () throws -> Void) throws {
    do { try body() } catch {
      throw BrokenPromise("seed \(seed), crash at I/O \(point), \(policy): \(error)")
    }
  }
}
