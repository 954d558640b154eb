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
  private let salts: SimulationSalts
  var configuration = LogConfiguration()

  init(_ disk: SimulatedFileSystem = SimulatedFileSystem(), seed: UInt64 = 1) {
    self.disk = disk
    salts = SimulationSalts(seed: seed)
    configuration.segmentBytes = 64 << 10
    configuration.blockBytes = 4 << 10
    // Nothing happens in a test but what it asks for.
    configuration.sealing = .off
  }

  func environment(on fileSystem: (any FileSystem)? = nil) -> LogEnvironment {
    .simulated(fileSystem ?? disk, clock: clock, salts: salts)
  }

  /// A writer that has appended a record for each of these numbers, as a block of its own.
  func openWriter(
    on fileSystem: (any FileSystem)? = nil, committing numbers: Range<Int> = 0..<0
  ) throws(LogError) -> LogWriter {
    let writer = try LogOpening.open(Self.path, configuration, environment(on: fileSystem))
    for number in numbers { try writer.commit(record(number)) }
    return writer
  }

  func open(
    on fileSystem: (any FileSystem)? = nil, with environment: LogEnvironment? = nil
  ) async throws(LogError) -> Log {
    try await Log.open(
      at: Self.path, configuration: configuration, environment: environment ?? self.environment(on: fileSystem))
  }

  /// A new log, open.
  static func opened(
    _ configure: (inout LogConfiguration) -> Void = { _ in }
  ) async throws(LogError) -> (TestLog, Log) {
    var test = TestLog()
    configure(&test.configuration)
    return (test, try await test.open())
  }

  /// A new log whose writes can be made to wait.
  static func gated(
    _ configure: (inout LogConfiguration) -> Void = { _ in }
  ) async throws(LogError) -> (TestLog, Log, GatedFileSystem) {
    var test = TestLog()
    configure(&test.configuration)
    let gate = GatedFileSystem(test.disk)
    return (test, try await test.open(on: gate), gate)
  }

  /// A new log with a record for each of these numbers, and its writer.
  static func written(
    _ numbers: Range<Int> = 0..<0, _ configure: (inout LogConfiguration) -> Void = { _ in }
  ) throws(LogError) -> (TestLog, LogWriter) {
    var test = TestLog()
    configure(&test.configuration)
    return (test, try test.openWriter(committing: numbers))
  }

  /// The same on a disk that may be full: it looks for room when the test says so.
  func open(waitingFor ticks: Ticks) async throws(LogError) -> Log {
    var environment = environment()
    environment.sleep = { _ in await ticks.next() }
    return try await open(with: environment)
  }

  func openReader() async throws(LogError) -> LogReader {
    try await LogReader.open(at: Self.path, environment: environment())
  }

  func inspector() throws(LogError) -> LogInspector { try LogInspector(Self.path, environment: environment()) }

  /// What a deep walk finds wrong.
  func problems(_ depth: InspectionDepth = .deep) throws(LogError) -> [InspectionProblem] {
    try inspector().walk(depth).flatMap(\.problems)
  }

  /// Appends numbered records from `first` on until there are so many segments, and their number is divisible by
  /// `divisor`. Returns the number after the last.
  @discardableResult
  func commit(to writer: LogWriter, from first: Int = 0, segments count: Int, divisibleBy divisor: Int = 1)
    throws(LogError) -> Int
  {
    var number = first
    while segments.count < count || number % divisor != 0 {
      try writer.commit(record(number))
      number += 1
    }
    return number
  }

  /// A cursor that no process holds yet, made where it is not there.
  func cursor(of writer: LogWriter, at start: Offset = .zero) throws(LogError) -> HeldCursor {
    try CursorStore.hold(disk, Self.paths, logID: writer.logID, name: "c", startingAt: start)
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

  /// Appends numbered records until there are so many segments and their number is divisible by `divisor`, each a step
  /// of the clock after the one before. Returns how many it were.
  @discardableResult
  func append(
    to log: Log, segments count: Int, divisibleBy divisor: Int = 1, step seconds: Int64 = 0
  ) async throws(LogError) -> Int {
    var number = 0
    while segments.count < count || number % divisor != 0 {
      try await log.append(batch([record(number)]))
      clock.advance(seconds: seconds)
      number += 1
    }
    return number
  }

  /// The paths of all segments, in order.
  var segments: [String] { disk.filePaths.filter { $0.hasSuffix(".seg") } }
  var newestSegment: String { get throws { try #require(segments.last) } }
  /// The bytes of a file, as a reader would see them now.
  func contents(_ path: String) throws -> [UInt8] { try #require(disk.contents(path)) }
  /// What all files take.
  var usedBytes: Int { disk.filePaths.reduce(0) { $0 + (disk.size(of: $1) ?? 0) } }
  /// The files that hold what is known of producers.
  var snapshots: [String] {
    [Self.paths.producers(0), Self.paths.producers(1)].filter { disk.filePaths.contains($0) }
  }
  var quarantine: [String] { disk.filePaths.filter { $0.hasPrefix(Self.paths.quarantine + "/") } }
}

extension SplitMix64 {
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

extension LogWriter {
  /// Appends the records as one block, synced and visible.
  @discardableResult
  func commit(_ records: [UInt8]...) throws(LogError) -> Range<Offset> { try commit(records) }

  @discardableResult
  func commit(_ records: [[UInt8]]) throws(LogError) -> Range<Offset> { try commit(batches: batch(records)) }

  /// Appends the batches as one block, synced and visible.
  @discardableResult
  func commit(batches: RecordBatch...) throws(LogError) -> Range<Offset> { try commit(all: batches) }

  @discardableResult
  func commit(all batches: [RecordBatch]) throws(LogError) -> Range<Offset> {
    let offsets = try write(batches)
    try synchronize()
    try publish()
    return offsets
  }

  /// What a producer is answered that offers this append now.
  func answer(_ name: String, _ sequence: UInt64) throws -> ProducerTable.Answer {
    var table = producers.table
    return table.offer(name, epoch: try table.open(name), sequence: sequence)
  }
}

extension HeldCursor {
  /// Takes the cursor over, as its next holder does.
  @discardableResult
  func acquire() throws(LogError) -> CursorState {
    try move { (state) throws(CursorMoveError) in state.acquired() }
  }
}

func batch(_ records: [[UInt8]]) -> RecordBatch {
  var batch = RecordBatch()
  for record in records { batch.append(record) }
  return batch
}

/// A batch of a producer.
func batch(_ records: [[UInt8]], of producer: String, _ sequence: UInt64, source: [UInt8] = []) -> RecordBatch {
  var batch = batch(records)
  batch.producer = ProducerMark(name: producer, epoch: 1, sequence: sequence, source: source)
  return batch
}

/// A record that tells which one it is.
func record(_ number: Int) -> [UInt8] { Array(#"{"event":"Home Page","number":\#(number)}"#.utf8) }

func records(_ numbers: Range<Int>) -> [[UInt8]] { numbers.map(record) }
