import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

/// Files that earlier versions wrote, kept in the repository: what was once written can always be read.
///
/// `writes the golden files` below made `v1`. Do not make it again; a new format gets a new folder. To make one:
/// `PENSTOCK_REGENERATE_GOLDEN=<directory> swift test --filter GoldenTests`, and copy the result here.
@Suite struct GoldenTests {
  private static let target = ProcessInfo.processInfo.environment["PENSTOCK_REGENERATE_GOLDEN"]
  private static let start = Timestamp(nanoseconds: 1_800_000_000_000_000_000)
  private static let segments = [
    "data/0000000001-00000000000000000000.seg", "data/0000000002-00000000000000000006.seg",
  ]

  /// The batches, as they were appended; one second after the other. The fourth begins the second segment.
  private static let batches: [[[UInt8]]] = {
    var random = SplitMix64(seed: 1)
    return [
      [Array(#"{"event":"Home Page","ts":1800000000}"#.utf8), Array(#"{"event":"Plan","ts":1800000001}"#.utf8)],
      [[], Array("line\nfeeds\n".utf8), Array("none".utf8)],
      [random.bytes(46_000)],
      [Array("é🚰".utf8), [0], [10]],
      [random.bytes(3_000), Array("second segment".utf8)],
      [Array(String(repeating: "compresses ", count: 500).utf8)],
    ]
  }()

  private struct Settings {
    let clock = ManualClock(GoldenTests.start)
    let salts = SimulationSalts(seed: 77)
    var configuration = LogConfiguration()
    init() { configuration.segmentBytes = 64 << 10 }

    func environment(_ fileSystem: any FileSystem) -> LogEnvironment {
      .simulated(fileSystem, clock: clock, salts: salts)
    }
  }

  private static func write(_ fileSystem: any FileSystem, at path: String) throws {
    let settings = Settings()
    let writer = try LogOpening.open(path, settings.configuration, settings.environment(fileSystem))
    for (number, records) in batches.enumerated() {
      settings.clock.set(Timestamp(nanoseconds: start.nanoseconds + Int64(number) * 1_000_000_000))
      var batch = RecordBatch()
      let eventTime = Timestamp(nanoseconds: start.nanoseconds - Int64(number))
      for record in records { batch.append(record, eventTime: eventTime) }
      try writer.commit(batches: batch)
    }
    let cursor = try CursorStore.hold(
      fileSystem, LogPaths(path), logID: writer.logID, name: "golden", startingAt: .zero)
    try cursor.acquire()
    for (first, end) in [(0, 2), (2, 4), (4, 8)] as [(UInt64, UInt64)] {
      let intent = intent(first, end)
      try cursor.move { (state) throws(CursorMoveError) in
        try state.beginning(intent, epoch: 1, durableEnd: Offset(12))
      }
    }
    try cursor.move { (state) throws(CursorMoveError) in
      try state.completing(DeliveryID("0-2"), receipt: "200 OK", epoch: 1)
    }
    try cursor.move { (state) throws(CursorMoveError) in
      try state.completing(DeliveryID("4-8"), receipt: "202", epoch: 1)
    }
    try writer.close()
  }

  private static func intent(_ first: UInt64, _ end: UInt64) -> Intent {
    Intent(
      id: DeliveryID("\(first)-\(end)"), first: Offset(first), end: Offset(end),
      contentDigest: (0..<32).map { UInt8($0) }, plan: Array("plan".utf8), createdAt: start)
  }

  @Test(.enabled(if: target != nil, "makes files, only when asked to"))
  func `writes the golden files`() throws {
    let target = try #require(Self.target)
    try Self.write(POSIXFileSystem(), at: target)
  }

  // MARK: Reading

  private func check(_ view: LogView) throws {
    let reading = try Reading(view)
    #expect(reading.inOrder == Self.batches.flatMap { $0 })
    var expected: [Timestamp] = []
    for (number, records) in Self.batches.enumerated() {
      let time = Timestamp(nanoseconds: Self.start.nanoseconds + Int64(number) * 1_000_000_000)
      expected += records.map { _ in time }
    }
    #expect(reading.appendTimes.sorted { $0.key < $1.key }.map(\.value) == expected)
    for (index, time) in expected.enumerated() {
      #expect(try view.offset(atOrAfter: time) == Offset(UInt64(expected.firstIndex(of: time) ?? index)))
    }
  }

  @Test func `a log of version 1 is read and written`() async throws {
    try await withGoldenCopy(of: "v1") { path in
      let log = try await Log.open(at: path)
      #expect(log.recovery.outcome == .clean && log.recovery.unknownFiles.isEmpty)
      #expect(log.first == .zero && log.end == Offset(12))
      #expect(log.logID == LogMeta.hex(SimulationSalts(seed: 77).next()))
      try check(log.view)
      let offsets = try await log.append("more").offsets
      #expect(offsets == Offset(12)..<Offset(13))
      try await log.close()
    }
  }

  @Test func `a log of version 1 is read without a writer`() async throws {
    try await withGoldenCopy(of: "v1") { path in
      let reader = try await LogReader.open(at: path)
      #expect(reader.end == Offset(12))
      try check(reader.view)
    }
  }

  /// The record of a cursor of version 1. The file that held it has a form that is read no more; the record's is read.
  private func cursor(_ path: String) throws -> CursorState {
    let file = path + "/cursors/golden.cur"
    return try CursorRecord(
      decoding: SlotFile.peek(POSIXFileSystem(), file, kind: 2, slotSize: 16 << 10)
    ).state
  }

  @Test func `a cursor's record of version 1 says what it said`() async throws {
    try await withGoldenCopy(of: "v1") { path in
      let state = try cursor(path)
      #expect(state.committed == Offset(2) && state.epoch == 1 && state.lastReceipt == "202")
      #expect(state.inFlight.map(\.intent) == [Self.intent(2, 4), Self.intent(4, 8)])
      #expect(state.inFlight.map(\.isDelivered) == [false, true])
    }
  }

  // MARK: Writing

  /// What of a block does not depend on the version of libzstd: header fields before the lengths, and those after them.
  private func stable(_ header: BlockHeader) -> BlockHeader {
    var header = header
    // Version 1 did not say from its beginning that event times were told.
    header.flags &= ~BlockFormat.eventTimesKnownFlag
    // Nor what the checksum of the records is.
    header.trailerLength -= header.trailerLength > 0 && header.flags & BlockFormat.lengthsFlag == 0 ? 12 : 0
    header.position = 0
    header.storedLength = 0
    header.paddingLength = 0
    header.payloadChecksum = 0
    header.trailerChecksum = 0
    header.durableUpTo = 0
    header.chain = 0
    return header
  }

  private func headers(_ bytes: [UInt8]) throws -> (segment: [UInt8], blocks: [BlockHeader]) {
    let header = try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) }
    var blocks: [BlockHeader] = []
    var position = SegmentHeader.size
    while position < bytes.count {
      let rest = Array(bytes[position...])
      // The index behind the blocks, which version 1 did not have from the beginning.
      if rest.starts(with: [0x52, 0x2A, 0x4D, 0x18]) { break }
      let block = try rest.withUnsafeBytes { try BlockHeader(decoding: $0, seed: header.seed) }
      blocks.append(block)
      position += block.totalLength
    }
    return (Array(bytes[..<SegmentHeader.size]), blocks)
  }

  @Test func `the same records with the same salts are written in the same way today`() throws {
    let disk = SimulatedFileSystem()
    try Self.write(disk, at: "/log")
    let golden = try #require(Bundle.module.url(forResource: "Golden/v1", withExtension: nil))
    for (index, name) in Self.segments.enumerated() {
      let then = try headers(Array(Data(contentsOf: golden.appendingPathComponent(name))))
      let now = try headers(try #require(disk.contents("/log/" + name)))
      // Version 1 did not tell event times from its beginning. And the chain over the last block before depends on its
      // compressed bytes.
      let fields = [32..<40, 176..<184, 4092..<4096] + (index == 0 ? [] : [96..<104])
      var (old, new) = (then.segment, now.segment)
      for page in [0, 4096] {
        for field in fields {
          old.replaceSubrange((page + field.lowerBound)..<(page + field.upperBound), with: field.map { _ in 0 })
          new.replaceSubrange((page + field.lowerBound)..<(page + field.upperBound), with: field.map { _ in 0 })
        }
      }
      let isEqual = old == new
      #expect(isEqual)
      #expect(then.blocks.map(stable) == now.blocks.map(stable), "\(name)")
    }
    // Slot files are written in the newest version; they say what they said, and META also where the log begins.
    let (old, new) = (LogPaths(golden.path), LogPaths("/log"))
    func meta(_ fileSystem: any FileSystem, _ paths: LogPaths) throws -> LogMeta {
      try LogMeta(
        decoding: SlotFile.peek(fileSystem, paths.meta, kind: LogMeta.slotKind, slotSize: LogMeta.slotSize))
    }
    var then = try meta(POSIXFileSystem(), old)
    #expect(then.start == nil)
    then.start = SegmentName(sequence: 1, baseOffset: .zero)
    #expect(try meta(disk, new) == then)
    #expect(try CursorStore.peek(disk, new, name: "golden") == cursor(golden.path))
  }
}
