import Foundation
import Logging
@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct BackgroundSealingTests {
  /// Stands still but while somebody sleeps.
  private final class SleepingClock: MonotonicClock {
    private let time = Mutex<Int64>(0)
    func now() -> Int64 { time.withLock { $0 } }
    func sleep(nanoseconds: Int64) { time.withLock { $0 += nanoseconds } }
  }

  private func isSealed(_ view: LogView, _ index: Int) throws -> Bool {
    try view.set.segments[index].open().1.isSealed
  }

  /// Starts a sealer on a disk whose directory syncs of data tell when a segment is in place.
  private func run(
    _ log: TestLog, _ view: LogView, _ sealer: SegmentSealer, clock: any MonotonicClock = SystemMonotonicClock(),
    segments: Int
  ) async throws {
    let background = BackgroundSealer(sealer, view, clock: clock, logger: .silent)
    defer { background.stop() }
    while log.disk.filePaths.contains(where: { $0.hasSuffix(".sealing") }) || log.sealedCount < segments {
      // A sealer that does not seal is ended by the time limit.
      try Task.checkCancellation()
      await Task.yield()
    }
  }

  @Test func `all segments but the newest are sealed, at the rate asked for`() async throws {
    let (bench, writer) = try SealFixture.opened(segments: 4)
    let clock = SleepingClock()
    var settings = SealingSettings()
    settings.bytesPerSecond = 10_000
    let sealer = bench.sealer(settings)
    let before = try (0..<3).map { try bench.log.contents(bench.log.segments[$0]).count }.reduce(0, +)
    try await run(bench.log, writer.view, sealer, clock: clock, segments: 3)
    #expect(try (0..<4).map { try isSealed(writer.view, $0) } == [true, true, true, false])
    #expect(try bench.isWhole(writer.view))
    // Read once, and the new ones read back.
    #expect(clock.now() > Int64(before - 3 * 8192) * 100_000)
  }

  @Test func `an open log seals what it rolls, and a closing one stops at once`() async throws {
    try await withTemporaryDirectory { path in
      var configuration = LogConfiguration()
      configuration.segmentBytes = 64 << 10
      let log = try await Log.open(at: path, configuration: configuration)
      let reader = try await LogReader.open(at: path)
      for number in 0..<60 { try await log.append(batch([record(number)])) }
      while try !log.view.set.segments.dropLast().allSatisfy({ try $0.headerOnDisk().isSealed }) {
        try Task.checkCancellation()
        await Task.yield()
      }
      try reader.refresh()
      #expect(try Reading(reader.view).inOrder == records(0..<60))
      #expect(try Reading(log.view).inOrder == records(0..<60))
      #expect(try LogInspector(path).walk(.deep).flatMap(\.problems) == [])
      try await log.close()
      // A sealer that may do next to nothing a second does not hold up the end.
      var settings = SealingSettings()
      settings.bytesPerSecond = 1
      configuration.sealing = .settings(settings)
      let slow = try await Log.open(at: path + "-slow", configuration: configuration)
      for number in 0..<60 { try await slow.append(batch([record(number)])) }
      try await slow.close()
      let again = try await Log.open(at: path + "-slow", configuration: configuration)
      #expect(again.recovery.outcome == .clean && again.recovery.unknownFiles.isEmpty)
      #expect(try Reading(again.view).inOrder == records(0..<60))
      try await again.close()
      try FileManager.default.removeItem(atPath: path + "-slow")
    }
  }

  @Test func `a reader that has a segment open when it is sealed reads on, and then the new file`() throws {
    let (bench, writer) = try SealFixture.opened(segments: 3)
    let follower = try bench.log.follower()
    #expect(try bench.isWhole(follower))
    #expect(try bench.isWhole(writer.view))
    let handles = bench.log.disk.openHandleCount
    try writer.sealAll()
    #expect(try bench.isWhole(follower), "with the old files open")
    #expect(try bench.isWhole(writer.view))
    for segment in follower.set.segments { segment.release() }
    #expect(try bench.isWhole(follower))
    #expect(try follower.set.segments[0].open().1.isSealed)
    #expect(bench.log.disk.openHandleCount <= handles + 2, "nobody keeps the old files")
  }

  @Test func `a segment sealed between finding a block and reading it is looked up again`() throws {
    let (_, writer) = try SealFixture.opened(segments: 3)
    var tries = 0
    let block = try writer.view.withBlock(holding: Offset(9)) { (segment, entry) throws(LogError) -> DecodedBlock in
      tries += 1
      if tries == 1 { _ = try? writer.sealAll() }
      return try segment.decode(entry, with: BlockReader())
    }
    #expect(tries == 2)
    #expect(block.map { $0.baseOffset <= Offset(9) && Offset(9) < $0.endOffset } == true)
  }

  @Test func `a failure leaves the segment and the log as they were`() throws {
    let bench = try SealFixture(segments: 3)
    let log = bench.log.killed()
    let writer = try log.openWriter()
    let start = log.disk.ioCount
    try writer.sealAll()
    let ios = log.disk.ioCount - start
    for number in 1...ios {
      for code in [FileSystemError.Code.inputOutput, .noSpace] {
        let image = bench.log.killed()
        let writer = try image.openWriter()
        image.disk.fail(atIO: image.disk.ioCount + number, code)
        _ = try? writer.sealAll()
        #expect(try bench.isWhole(writer.view), "I/O \(number)")
        #expect(!image.disk.filePaths.contains { $0.hasSuffix(".sealing") } || code == .inputOutput)
        try writer.commit(record(0))
        #expect(try writer.sealAll().count == 2)
        #expect(image.segments.count == 3)
      }
    }
  }
}

extension TestLog {
  /// How many segments are sealed, as their files say.
  fileprivate var sealedCount: Int {
    segments.count { path in
      guard let bytes = disk.contents(path) else { return false }
      return bytes.withUnsafeBytes { (try? SegmentHeader(decoding: $0))?.isSealed == true }
    }
  }

  /// A view as another process has it.
  fileprivate func follower() throws -> LogView {
    let names = try LogDirectory.listSegments(disk, TestLog.paths).names
    let view = LogView()
    let end = try LogInspector(TestLog.path, environment: environment()).end
    view.publish(
      SegmentSet(segments: names.map { Segment(disk, $0, path: TestLog.paths.segment($0)) }, end: end))
    return view
  }
}

extension Segment {
  fileprivate func headerOnDisk() throws -> SegmentHeader {
    let file = OpenFile(fileSystem, try fileSystem.open(path, .readOnly))
    return try withExtendedLifetime(file) { try SegmentScanner.readHeader(fileSystem, file.handle, path: path) }
  }
}
