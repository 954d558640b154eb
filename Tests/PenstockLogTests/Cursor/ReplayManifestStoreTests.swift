@testable import PenstockLog
import PenstockTestKit
import Testing

/// What is durable of a replay, over crashes and beside other cursors.
@Suite(.timeLimit(.minutes(1))) struct ReplayManifestStoreTests {
  private let logID: [UInt8] = Array(1...16)
  private let paths = TestLog.paths

  private func manifest(_ id: String = "again", from: Position = .offset(Offset(2))) -> ReplayManifest {
    ReplayManifest(
      id: id, from: from, to: .time(Timestamp(nanoseconds: -7)), first: Offset(2), end: Offset(9),
      destination: "webhook https://example.com/é", createdAt: Timestamp(nanoseconds: 5))
  }

  private func find(_ disk: SimulatedFileSystem, _ id: String = "again") throws(LogError) -> ReplayManifest? {
    try ReplayManifestStore.manifest(disk, paths, logID: logID, id: id)
  }

  @Test func `a manifest comes back as it was written, up to the largest`() throws {
    var all = [Position.beginning, .end, .offset(Offset(.max)), .time(Timestamp(nanoseconds: .max))].map {
      manifest(String(repeating: "x", count: 40), from: $0)
    }
    all[1].skip(Offset(4)..<Offset(6))
    all[2].finish(at: Timestamp(nanoseconds: 0))
    all.append(
      ReplayManifest(
        id: "long", from: .end, to: .end, first: .zero, end: Offset(.max),
        destination: String(repeating: "é", count: 3000), createdAt: Timestamp(nanoseconds: .min)))
    for untimed in EventWindow.Untimed.allCases {
      let rate = ReplayManifest.Rate(records: 0.1, bytes: nil, requests: .greatestFiniteMagnitude)
      let events = ReplayManifest(
        id: untimed.rawValue, from: .eventTime(Timestamp(nanoseconds: .min)), to: .eventTime(Timestamp(nanoseconds: 3)),
        untimed: untimed, first: .zero, end: Offset(.max), destination: "file x", createdAt: Timestamp(nanoseconds: 0),
        rate: rate)
      let until = Timestamp(nanoseconds: 3)
      #expect(events.events == EventWindow(from: Timestamp(nanoseconds: .min), until: until, untimed: untimed))
      all.append(events)
    }
    #expect(all[0].events == nil)
    for manifest in all {
      let disk = try logDirectory()
      #expect(try find(disk, manifest.id) == nil)
      try ReplayManifestStore.create(disk, paths, logID: logID, manifest)
      #expect(try find(disk, manifest.id) == manifest)
      #expect(try ReplayManifestStore.ids(disk, paths) == [manifest.id])
    }
  }

  @Test func `lost records count once, however often and in whatever pieces they are told, within the window`() {
    var manifest = manifest()
    for gap in [0..<3, 2..<3, 2..<4, 6..<6, 6..<7, 6..<7, 8..<20, 3..<5] as [Range<UInt64>] {
      manifest.skip(Offset(gap.lowerBound)..<Offset(gap.upperBound))
    }
    #expect(manifest.skippedRecords == 4 && manifest.skippedUpTo == Offset(9))
  }

  @Test func `bytes that are no manifest, or another log's, are refused`() throws {
    let good = manifest().encoded(logID: logID)
    #expect(try ReplayManifest(decoding: good, logID: logID) == manifest())
    expectRefusalOfEveryCut(good, as: LogError.self) { try ReplayManifest(decoding: $0, logID: logID) }
    #expect(throws: LogError.self) { try ReplayManifest(decoding: good, logID: Array(2...17)) }
    var future = good
    future[0] = 9
    #expect(throws: LogError.self) { try ReplayManifest(decoding: future, logID: logID) }
  }

  @Test func `ids that are no names, or in use by a replay or a cursor, are refused`() throws {
    let disk = try logDirectory()
    for id in ["", ".", ".a", "a/b", "a b", "é", String(repeating: "x", count: 41)] {
      #expect(throws: LogError.self) { try ReplayManifestStore.create(disk, paths, logID: logID, manifest(id)) }
      #expect(throws: LogError.self) { try find(disk, id) }
    }
    try ReplayManifestStore.create(disk, paths, logID: logID, manifest())
    #expect(throws: LogError.self) { try ReplayManifestStore.create(disk, paths, logID: logID, manifest()) }
    _ = try CursorStore.hold(disk, paths, logID: logID, name: "replay.taken", startingAt: .zero)
    #expect(throws: LogError.self) { try ReplayManifestStore.create(disk, paths, logID: logID, manifest("taken")) }
  }

  @Test func `a power cut after any verb leaves the manifest before or after, and what returned stays`() throws {
    var outcomes: Set<String> = []
    for stop in 0..<12 {
      for seed in 0..<4 as Range<UInt64> {
        let disk = try logDirectory()
        var (done, changed) = (0, manifest())
        changed.skip(Offset(3)..<Offset(4))
        disk.crash(atIO: disk.ioCount + 1 + stop)
        if (try? ReplayManifestStore.create(disk, paths, logID: logID, manifest())) != nil { done = 1 }
        if done == 1, (try? ReplayManifestStore.update(disk, paths, logID: logID, changed)) != nil { done = 2 }
        let found = try find(disk.powerCut(seed == 0 ? .nothingUnsynced : .seeded(seed, .tornSectors)))
        switch done {
        case 0: #expect(found == nil || found == manifest())
        case 1: #expect(found == manifest() || found == changed)
        default: #expect(found == changed)
        }
        outcomes.insert("\(done) \(found == nil) \(found == changed)")
      }
    }
    #expect(outcomes.count >= 4, "\(outcomes)")
  }

  @Test func `a replay's cursor and a live one cannot have one name, and it goes without a trace`() async throws {
    let (test, log) = try await TestLog.opened()
    for number in 0..<20 { try await log.append("record \(number)") }
    await #expect(throws: LogError.self) { try await log.cursor(named: "replay.again") }
    let live = try await log.cursor(named: "again")
    try await log.replayManifests.createReplay(manifest())
    let cursor = try await log.replayCursor(manifest())
    #expect(cursor.name == "replay.again" && cursor.state.committed == Offset(2))
    #expect(try await log.replays() == [manifest()])
    try await log.replayManifests.removeReplay("again", manifest: false)
    #expect(try CursorStore.names(test.disk, TestLog.paths) == ["again"])
    await #expect(throws: LogError.self) { try await cursor.seek(to: .end) }
    try await live.seek(to: .end)
    #expect(try await log.replayManifests.replay("again") == manifest())
    try await log.replayManifests.removeReplay("again", manifest: true)
    #expect(try await log.replays().isEmpty)
    try await log.close()
  }

  @Test func `a replay holds its records against retention until it is over or discarded`() async throws {
    var test = TestLog()
    let log = try await test.open()
    try await test.append(to: log, segments: 5)
    try await log.replayManifests.createReplay(manifest())
    _ = try await log.replayCursor(manifest())
    try await log.close()
    test.configuration.retention = RetentionPolicy(maxBytes: 64 << 10)
    let again = try await test.open()
    let held = try await again.trim()
    #expect(held.droppedSegments == 0 && held.holds.map(\.cursor) == ["replay.again"])
    // Nobody holds it in this process: it is locked before it is removed.
    try await again.replayManifests.removeReplay("again", manifest: true)
    #expect(try await again.trim().droppedSegments == 4)
    try await again.close()
  }
}

/// What indexes say of a range.
@Suite(.timeLimit(.minutes(1))) struct RangeEstimateTests {
  @Test func `records, bytes and gaps of any range are what reading finds, and no cache is touched`() async throws {
    let (test, log) = try await TestLog.opened()
    var sizes: [Int] = []
    while test.segments.count < 4 {
      let lines = (0..<3).map { record(sizes.count + $0) }
      try await log.append(batch(lines))
      sizes += lines.map(\.count)
      test.clock.advance(seconds: 1)
    }
    let end = sizes.count
    var generator = SplitMix64(seed: 3)
    for round in 0..<200 {
      let (a, b) = (generator.below(end + 1), generator.below(end + 1))
      let (low, high) = (min(a, b), max(a, b))
      let extent = try log.extent(of: Offset(UInt64(low))..<Offset(UInt64(high)))
      #expect(extent.records == high - low && extent.missing == 0, "round \(round)")
      let bytes = sizes[low..<high].reduce(0, +)
      // Each append is a block of one page with three records.
      let stored = stride(from: 0, to: end, by: 3).reduce(0) { sum, first in
        sum + 4096 * max(0, min(first + 3, high) - max(first, low)) / 3
      }
      #expect(extent.storedBytes == stored, "round \(round)")
      if high - low > 30 {
        #expect(abs(Double(extent.recordBytes) / Double(bytes) - 1) < 0.2, "\(extent) for \(bytes)")
      }
      if low < high {
        #expect(extent.firstAppendTime == (try log.view.appendTime(at: Offset(UInt64(low)))))
      } else {
        #expect(extent.storedBytes == 0 && extent.firstAppendTime == nil)
      }
    }
    let whole = try log.extent(of: .zero..<Offset(UInt64(end)))
    #expect(try log.view.keptBytes(from: .zero) >= whole.storedBytes)
    #expect(try log.view.keptBytes(from: log.end) <= 64 << 10)
    try await log.close()
  }

  @Test func `a segment that is gone counts as missing`() async throws {
    let (test, log) = try await TestLog.opened()
    try await test.append(to: log, segments: 4)
    let bases = log.view.set.segments.map(\.name.baseOffset)
    let path = log.view.set.segments[1].path
    try await log.close()
    try test.remove(path)
    let reader = try await test.openReader()
    let extent = try reader.extent(of: .zero..<reader.end)
    #expect(extent.missing == bases[2] - bases[1] && extent.records == (reader.end - .zero) - extent.missing)
    #expect(try reader.view.appendTime(at: bases[1]) == nil)
    reader.close()
  }
}
