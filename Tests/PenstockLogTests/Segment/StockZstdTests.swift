import Foundation
import PenstockLog
import PenstockTestKit
import Testing

/// Nobody's data is locked in: the `zstd` everybody has prints a segment's records.
@Suite struct StockZstdTests {
  private static let tool = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
    $0 + "/zstd"
  }
  .first { FileManager.default.isExecutableFile(atPath: String($0)) }.map { String($0) }

  private func print(_ segment: [UInt8], in directory: String) throws -> (status: Int32, output: [UInt8]) {
    let path = directory + "/segment"
    try Data(segment).write(to: URL(fileURLWithPath: path))
    let output = directory + "/output"
    try Data().write(to: URL(fileURLWithPath: output))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Self.tool))
    process.arguments = ["-dcq", path]
    process.standardOutput = try Foundation.FileHandle(forWritingTo: URL(fileURLWithPath: output))
    process.standardError = Foundation.FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, Array(try Data(contentsOf: URL(fileURLWithPath: output))))
  }

  private func lines(_ records: [[UInt8]]) -> [UInt8] { records.flatMap { $0 + [10] } }

  @Test(.enabled(if: tool != nil, "there is no zstd tool here"))
  func `of a segment with its index it prints every record, and succeeds`() async throws {
    let test = TestLog()
    let writer = try test.openWriter()
    for number in 0..<17 { try writer.commit(record(number)) }
    let first = try #require(test.segments.first)
    let length = try test.contents(first).count
    try #require(test.segments.count == 2 && length > 8192 + 14 * 4096)
    try await withTemporaryDirectory { directory in
      let (status, output) = try print(try test.contents(first), in: directory)
      #expect(status == 0 && output == lines(records(0..<14)))
    }
  }

  @Test(.enabled(if: tool != nil, "there is no zstd tool here"))
  func `the zstd tool prints every record of a finished segment and succeeds`() async throws {
    let test = TestLog()
    let writer = try test.openWriter()
    var random = SplitMix64(seed: 51)
    let batches = [[record(0), []], [Array("a\nb".utf8)], [random.bytes(9_000)], records(1..<100)]
    for batch in batches { try writer.commit(batch) }
    try writer.close()
    let bytes = try test.contents(test.newestSegment)
    try await withTemporaryDirectory { directory in
      let (status, output) = try print(bytes, in: directory)
      #expect(status == 0)
      let isEqual = output == lines(batches.flatMap { $0 })
      #expect(isEqual)
    }
  }

  @Test(.enabled(if: tool != nil, "there is no zstd tool here"))
  func `of a sealed segment it prints the same bytes as before sealing, and succeeds`() async throws {
    let bench = try SealFixture(segments: 3)
    let writer = try bench.log.openWriter()
    let paths = bench.log.segments.dropLast()
    let before = try paths.map { try bench.log.contents($0) }
    try writer.sealAll()
    for (path, original) in zip(paths, before) {
      let sealed = try bench.log.contents(path)
      #expect(sealed != original)
      try await withTemporaryDirectory { directory in
        let (status, output) = try print(sealed, in: directory)
        let expected = try print(original, in: directory).output
        #expect(status == 0 && !output.isEmpty)
        let isEqual = output == expected
        #expect(isEqual)
      }
    }
  }

  @Test(.enabled(if: tool != nil, "there is no zstd tool here"))
  func `of a segment being written it prints every record, too, before it complains about the zeros`() async throws {
    let test = TestLog()
    let writer = try test.openWriter()
    for number in 0..<5 { try writer.commit(record(number)) }
    let bytes = try test.contents(test.newestSegment)
    try await withTemporaryDirectory { directory in
      let output = try print(bytes, in: directory).output
      #expect(output == lines(records(0..<5)))
    }
  }
}
