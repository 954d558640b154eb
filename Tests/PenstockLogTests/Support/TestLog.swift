import Logging
@testable import PenstockLog
import PenstockTestKit
import Synchronization
import Testing

/// A log on a simulated disk, with a clock that stands still and salts that are equal in every run.
struct TestLog {
  static let path = "/log"
  static let paths = LogPaths(path)

  var disk: SimulatedFileSystem
  let clock = ManualClock()
  private let salts: Salts
  var configuration = LogConfiguration()

  init(_ disk: SimulatedFileSystem = SimulatedFileSystem(), seed: UInt64 = 1) {
    self.disk = disk
    salts = Salts(seed: seed)
    configuration.segmentBytes = 64 << 10
    configuration.blockBytes = 4 << 10
    // Nothing happens in a test but what it asks for.
    configuration.sealing = .off
  }

  func environment(on fileSystem: (any FileSystem)? = nil) -> LogEnvironment {
    let salts = salts
    return LogEnvironment(
      fileSystem: fileSystem ?? disk, clock: clock, randomBytes: { salts.next() },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  func openWriter() throws(LogError) -> LogWriter {
    try LogOpening.open(Self.path, configuration, environment())
  }

  func open() async throws(LogError) -> Log {
    try await Log.open(at: Self.path, configuration: configuration, environment: environment())
  }

  /// The same log as the next process finds it after this one was killed.
  func killed() -> TestLog {
    var copy = self
    copy.disk = disk.processKill()
    return copy
  }

  /// The same log after a power cut.
  func afterPowerCut(_ policy: CrashPolicy = .nothingUnsynced) -> TestLog {
    var copy = self
    copy.disk = disk.powerCut(policy)
    return copy
  }

  /// Takes a file away, durably.
  func remove(_ path: String) throws {
    try disk.remove(path)
    try disk.synchronizeDirectory(LogPaths.parent(of: path))
  }

  /// The paths of all segments, in order.
  var segments: [String] { disk.filePaths.filter { $0.hasSuffix(".seg") } }
  var newestSegment: String { get throws { try #require(segments.last) } }
  /// The bytes of a file, as a reader would see them now.
  func contents(_ path: String) throws -> [UInt8] { try #require(disk.contents(path)) }
  var quarantine: [String] { disk.filePaths.filter { $0.hasPrefix(Self.paths.quarantine + "/") } }
}

/// Salts that depend on nothing but the seed.
final class Salts: Sendable {
  private let random: Mutex<SplitMix64>
  init(seed: UInt64) { random = Mutex(SplitMix64(seed: seed)) }
  func next() -> [UInt8] { random.withLock { $0.bytes(16) } }
}

extension SplitMix64 {
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

extension LogWriter {
  /// Appends the records as one block, synced and visible.
  @discardableResult
  func commit(_ records: [UInt8]...) throws(LogError) -> Range<Offset> { try commit(records) }

  @discardableResult
  func commit(_ records: [[UInt8]]) throws(LogError) -> Range<Offset> {
    let offsets = try write([batch(records)])
    try synchronize()
    try publish()
    return offsets
  }
}

func batch(_ records: [[UInt8]]) -> RecordBatch {
  var batch = RecordBatch()
  for record in records { batch.append(record) }
  return batch
}

/// A record that tells which one it is.
func record(_ number: Int) -> [UInt8] { Array(#"{"event":"Home Page","number":\#(number)}"#.utf8) }

func records(_ numbers: Range<Int>) -> [[UInt8]] { numbers.map(record) }

/// What a reader that goes on behind every gap finds.
struct Reading: Equatable {
  var records: [Offset: [UInt8]] = [:]
  var gaps: [Gap] = []
  var end = Offset.zero

  init(_ view: LogView, from start: Offset = .zero, maxRecords: Int = 1_000) throws(LogError) {
    var offset = start
    while true {
      do throws(LogError) {
        guard let batch = try view.batch(from: offset, maxRecords: maxRecords, maxBytes: 1 << 20) else { break }
        batch.forEachRecord { records[$0.offset] = Array($0.bytes) }
        offset = batch.end
      } catch {
        guard let gap = error.gap else { throw error }
        gaps.append(gap)
        offset = gap.end
      }
    }
    end = offset
  }

  /// The offsets in gaps, in order.
  var lost: [Offset] { gaps.flatMap { gap in (0..<(gap.end - gap.first)).map { gap.first + $0 } } }

  /// The records by offset, when there is no gap.
  var inOrder: [[UInt8]] { records.sorted { $0.key < $1.key }.map(\.value) }
}

extension Gap {
  func covers(_ offset: Offset) -> Bool { first <= offset && offset < end }
}
