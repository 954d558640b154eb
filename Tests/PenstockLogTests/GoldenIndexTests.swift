import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

/// `Golden/v1-indexed`: a log of three segments. The first is sealed, the second has its index, the newest is as it was
/// written.
///
/// To make another: `PENSTOCK_REGENERATE_GOLDEN=<directory> swift test --filter GoldenIndexTests`. This one stays as it
/// is.
@Suite struct GoldenIndexTests {
  private static let target = ProcessInfo.processInfo.environment["PENSTOCK_REGENERATE_GOLDEN"]
  private static let start = Timestamp(nanoseconds: 1_800_000_000_000_000_000)
  private static let count = 30

  private static func time(_ number: Int) -> Timestamp {
    Timestamp(nanoseconds: start.nanoseconds + Int64(number) * 1_000_000_000)
  }

  /// Some are late, some unknown.
  private static func eventTime(_ number: Int) -> Timestamp? { number % 5 == 4 ? nil : time(number - number % 3 * 20) }

  private static func bytes(_ number: Int) -> [UInt8] {
    number % 7 == 3 ? Array("two\nlines \(number)".utf8) : Array(#"{"event":"Plan","number":\#(number)}"#.utf8)
  }

  private static func write(_ fileSystem: any FileSystem, at path: String) throws {
    let clock = ManualClock(start)
    var configuration = LogConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.sealing = .settings(SealingSettings())
    let writer = try LogOpening.open(
      path, configuration, .simulated(fileSystem, clock: clock, salts: SimulationSalts(seed: 78)))
    for number in 0..<count {
      clock.set(time(number))
      var batch = RecordBatch()
      batch.append(bytes(number), eventTime: eventTime(number))
      try writer.commit(batches: batch)
    }
    let segments = writer.view.set.segments.map(\.name)
    try #require(segments.count == 3)
    let job = try #require(SealingPlan().next(in: segments))
    _ = try #require(writer.sealer).seal(job, in: writer.view)
    try writer.close()
  }

  @Test(.enabled(if: target != nil, "makes files, only when asked to"))
  func `writes the golden files`() throws {
    try Self.write(POSIXFileSystem(), at: try #require(Self.target) + "/v1-indexed")
  }

  private func check(_ view: LogView) throws {
    let expected = (0..<Self.count).map(Self.bytes)
    #expect(try Reading(view).inOrder == expected)
    for number in 0..<Self.count {
      #expect(try view.offset(atOrAfter: Self.time(number)) == Offset(UInt64(number)))
      let place = try view.offset(atOrAfterEventTime: Self.time(number).nanoseconds)
      let exact = (0..<Self.count).first { (Self.eventTime($0)?.nanoseconds ?? .min) >= Self.time(number).nanoseconds }
      // In the block that holds the first of them, which may begin before it.
      #expect(exact.map { place <= Offset(UInt64($0)) } ?? (place == view.end))
      #expect(exact.map { $0 < 14 ? place == .zero : place == Offset(UInt64($0)) } ?? true)
    }
  }

  @Test func `a sealed segment, one with its index, and the newest are read and written`() async throws {
    try await withGoldenCopy(of: "v1-indexed") { path in
      let reader = try await LogReader.open(at: path)
      try check(reader.view)
      let segments = reader.view.set.segments
      #expect(segments.count == 3)
      let headers = try segments.map { try $0.open() }
      #expect(headers.map(\.1.isSealed) == [true, false, false])
      #expect(headers.allSatisfy { $0.1.latestEventTime != nil })
      let indexes = try zip(segments, headers).map { segment, opened in
        try SegmentFooter.read(opened.0.fileSystem, opened.0.handle, opened.1)?.blocks.count
      }
      #expect(indexes == [1, 14, nil])
      reader.close()
      #expect(try LogInspector(path).walk(.deep).flatMap(\.problems).isEmpty)
      var configuration = LogConfiguration()
      // Else the second may be sealed at any moment, and its index be another.
      configuration.sealing = .off
      let log = try await Log.open(at: path, configuration: configuration)
      #expect(log.recovery.outcome == .clean && log.end == Offset(UInt64(Self.count)))
      try check(log.view)
      #expect(try await log.append("more").offsets == Offset(30)..<Offset(31))
      try await log.close()
    }
  }
}
