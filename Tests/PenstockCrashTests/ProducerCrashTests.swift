@testable import PenstockLog
import PenstockTestKit
import Testing

/// What is known of producers, through crashes that the general workload does not meet.
@Suite struct ProducerCrashTests {
  private static let paths = LogPaths("/log")
  private static let logID: [UInt8] = Array(1...16)

  private func policies(_ salt: UInt64) -> [CrashPolicy] {
    [.nothingUnsynced, .everything]
      + (0..<12).map { .seeded(salt &* 100 + $0, [.tornSectors, .unorderedDirectories]) }
  }

  private func table(_ sequence: UInt64) -> ProducerTable {
    var table = ProducerTable(capacity: 40)
    for producer in 0..<30 {
      var batch = RecordBatch()
      batch.append("x")
      batch.producer = ProducerMark(
        name: "producer-\(producer)", epoch: 1, sequence: sequence, source: [UInt8](repeating: 7, count: 60))
      if let trailer = ProducerTrailer([batch]) {
        table.apply(trailer, at: Offset(sequence), upTo: Offset(sequence + 1))
      }
    }
    return table
  }

  private func freshDisk() throws -> SimulatedFileSystem { try .prepared([:]) }

  /// Saves `count` times from `first` on; returns the newest that returned.
  private func save(_ disk: SimulatedFileSystem, _ count: Int, from first: UInt64) -> UInt64 {
    guard var store = try? ProducerStore.open(disk, Self.paths, logID: Self.logID).store else { return first - 1 }
    for sequence in first..<(first + UInt64(count)) {
      do throws(LogError) { try store.save(table(sequence), at: Offset(sequence)) } catch { return sequence - 1 }
    }
    return first + UInt64(count) - 1
  }

  private func expect(_ disk: SimulatedFileSystem, atLeast saved: UInt64, _ place: String) throws {
    let found = try ProducerStore.open(disk, Self.paths, logID: Self.logID)
    let end = found.newest?.end.rawValue ?? 0
    guard end >= saved, found.damaged.isEmpty else {
      throw Violation(.acknowledgedIsKept, "\(place): saved up to \(saved), found \(end), damaged \(found.damaged)")
    }
    if let newest = found.newest {
      #expect(newest.table(capacity: 40).entries == table(end).entries)
    }
  }

  @Test func `a saved snapshot survives a crash at every I/O of the saves after it`() throws {
    let clean = try freshDisk()
    _ = save(clean, 4, from: 1)
    for point in 1...clean.ioCount {
      let disk = try freshDisk()
      disk.crash(atIO: point)
      let saved = save(disk, 4, from: 1)
      for policy in policies(UInt64(point)) {
        try expect(disk.powerCut(policy), atLeast: saved, "crash at \(point), \(policy)")
      }
      try expect(disk.processKill(), atLeast: saved, "kill at \(point)")
      // Killed here, taken up again, and then the power goes.
      var depth = 1
      while true {
        let next = disk.processKill()
        let found = try ProducerStore.open(next.processKill(), Self.paths, logID: Self.logID).newest?.end.rawValue ?? 0
        next.crash(atIO: depth)
        let savedNext = max(saved, save(next, 2, from: found + 1))
        for policy in policies(UInt64(point * 1_000 + depth)) {
          try expect(
            next.powerCut(policy), atLeast: savedNext == found ? saved : savedNext,
            "kill at \(point), crash at \(depth), \(policy)")
        }
        if !next.isDown { break }
        depth += 1
      }
    }
  }

  @Test func `without room for a snapshot the older one stays, and saving works again when there is room`() throws {
    let disk = try freshDisk()
    #expect(save(disk, 3, from: 1) == 3)
    disk.capacityBytes = disk.filePaths.reduce(0) { $0 + (disk.contents($1)?.count ?? 0) } + 100
    var store = try ProducerStore.open(disk, Self.paths, logID: Self.logID).store
    let error = #expect(throws: LogError.self) { try store.save(table(4), at: Offset(4)) }
    #expect(error?.code == .noSpace)
    #expect(disk.filePaths == [Self.paths.producers(0), Self.paths.producers(1)])
    try expect(disk.powerCut(.nothingUnsynced), atLeast: 3, "full disk")
    disk.capacityBytes = nil
    try store.save(table(4), at: Offset(4))
    try expect(disk.powerCut(.nothingUnsynced), atLeast: 4, "room again")
  }

  /// Blocks that are not synced when the segment is full: the snapshot must wait for them.
  @Test(arguments: [UInt64(1), 2, 3]) func `a snapshot never knows more than is durable`(seed: UInt64) throws {
    let disk = SimulatedFileSystem(seed: seed)
    var clean = Unsynced(disk)
    try clean.run()
    #expect(clean.segments >= 3)
    for point in 1...disk.ioCount {
      let disk = SimulatedFileSystem(seed: seed)
      disk.crash(atIO: point)
      var work = Unsynced(disk)
      try? work.run()
      for policy in policies(UInt64(point) &+ seed) {
        try work.check(disk.powerCut(policy), "crash at \(point), \(policy)")
      }
      try work.check(disk.processKill(), "kill at \(point)")
    }
  }

  /// A log of durability `.kernel`: nothing is synced but full segments.
  private struct Unsynced {
    let disk: SimulatedFileSystem
    var segments = 0
    init(_ disk: SimulatedFileSystem) { self.disk = disk }

    private func open(_ disk: SimulatedFileSystem, salt: UInt64) throws(LogError) -> LogWriter {
      var configuration = LogConfiguration()
      configuration.segmentBytes = 64 << 10
      configuration.durability = .kernel
      return try LogOpening.open("/log", configuration, .simulated(disk, salts: SimulationSalts(seed: salt)))
    }

    private func batch(_ sequence: UInt64) -> RecordBatch {
      var batch = RecordBatch()
      batch.append("\(sequence)")
      batch.producer = ProducerMark(name: "p", epoch: 1, sequence: sequence, source: [])
      return batch
    }

    mutating func run() throws(LogError) {
      let writer = try open(disk, salt: 1)
      for sequence in 1...32 as ClosedRange<UInt64> {
        _ = try writer.write([batch(sequence)])
        if sequence % 3 != 0 { try writer.publish() }
      }
      segments = writer.view.set.segments.count
    }

    func check(_ found: SimulatedFileSystem, _ place: String) throws {
      let writer = try open(found, salt: 2)
      var records: [String] = []
      let batch = try writer.view.batch(from: .zero, maxRecords: .max, maxBytes: 1 << 20)
      batch?.forEachRecord { records.append(String(decoding: $0.bytes, as: UTF8.self)) }
      let last = writer.producers.entry("p")?.last ?? 0
      guard writer.recovery.outcome != .damaged, records == (0..<last).map({ "\($0 + 1)" }) else {
        let found = "\(records.count) records, the producer is at \(last); \(writer.recovery)"
        throw Violation(.orderOfProducers, "\(place): \(found)")
      }
    }
  }
}
