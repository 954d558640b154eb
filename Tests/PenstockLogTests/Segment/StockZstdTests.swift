import Foundation
@testable import PenstockLog
import PenstockTestKit
import Testing

private let zstdTool = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { $0 + "/zstd" }
  .first { FileManager.default.isExecutableFile(atPath: $0) }

/// Nobody's data is locked in: the `zstd` everybody has prints a segment's records.
@Suite(.enabled(if: zstdTool != nil, "there is no zstd tool here")) struct StockZstdTests {
  private func print(_ segment: [UInt8]) async throws -> (status: Int32, output: [UInt8]) {
    try await withTemporaryDirectory { directory in
      let path = directory + "/segment"
      try Data(segment).write(to: URL(fileURLWithPath: path))
      let output = URL(fileURLWithPath: directory + "/output")
      try Data().write(to: output)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: try #require(zstdTool))
      process.arguments = ["-dcq", path]
      process.standardOutput = try Foundation.FileHandle(forWritingTo: output)
      process.standardError = Foundation.FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      return (process.terminationStatus, Array(try Data(contentsOf: output)))
    }
  }

  private func lines(_ records: [[UInt8]]) -> [UInt8] { records.flatMap { $0 + [10] } }

  @Test func `of a segment with its index it prints every record, and succeeds`() async throws {
    let test = try TestLog.written(0..<17).0
    let first = try #require(test.segments.first)
    let length = try test.contents(first).count
    try #require(test.segments.count == 2 && length > 8192 + 14 * 4096)
    let (status, output) = try await print(try test.contents(first))
    #expect(status == 0 && output == lines(records(0..<14)))
  }

  @Test func `the zstd tool prints every record of a finished segment and succeeds`() async throws {
    let (test, writer) = try TestLog.written()
    var random = SplitMix64(seed: 51)
    let batches = [[record(0), []], [Array("a\nb".utf8)], [random.bytes(9_000)], records(1..<100)]
    for batch in batches { try writer.commit(batch) }
    try writer.close()
    let (status, output) = try await print(test.contents(test.newestSegment))
    let isEqual = output == lines(batches.flatMap { $0 })
    #expect(status == 0 && isEqual)
  }

  @Test func `of a sealed segment it prints the same bytes as before sealing, and succeeds`() async throws {
    let (bench, writer) = try SealFixture.opened(segments: 3)
    let paths = bench.log.segments.dropLast()
    let before = try paths.map { try bench.log.contents($0) }
    try writer.sealAll()
    for (path, original) in zip(paths, before) {
      let sealed = try bench.log.contents(path)
      #expect(sealed != original)
      let (status, output) = try await print(sealed)
      let isEqual = try await print(original).output == output
      #expect(status == 0 && !output.isEmpty && isEqual)
    }
  }

  @Test func `of a segment being written it prints every record, too, before it complains about the zeros`()
    async throws
  {
    let test = try TestLog.written(0..<5).0
    #expect(try await print(test.contents(test.newestSegment)).output == lines(records(0..<5)))
  }
}
