import Foundation
import PenstockEvents
import Testing

/// Page views of a real web site, where PENSTOCK_DATA names the folder of `page-views.ndjson.zst`.
private enum RealData {
  static let file = environment("PENSTOCK_DATA").map { $0 + "/page-views.ndjson.zst" }
  static var isPresent: Bool { file.map { access($0, R_OK) == 0 } ?? false }

  static func pageViews() throws -> [UInt8] {
    let path = try #require(file)
    let quoted = "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    let pipe = try #require(popen("zstd -dc \(quoted)", "r"))
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&chunk, 1, chunk.count, pipe), count > 0 { bytes += chunk[..<count] }
    #expect(pclose(pipe) == 0, "zstd could not unpack the file")
    return bytes
  }
}

@Suite(
  "Real data",
  .enabled(if: RealData.isPresent, "PENSTOCK_DATA does not name a folder with page-views.ndjson.zst"))
struct RealDataTests {
  @Test func `real page views pass every stage`() throws {
    let bytes = try RealData.pageViews()
    let dropping = FieldSelection(keeping: [])
    var records: [[UInt8]] = []
    var splitter = NDJSONSplitter(maxLineBytes: 1 << 16)
    try bytes.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count, by: 10_007) {
        let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + 10_007)])
        try splitter.feed(chunk) { line, _ in records.append(Array(line)) }
      }
      try splitter.finish { line, _ in records.append(Array(line)) }
    }
    #expect(records.count == 9999)
    for record in records {
      let summary = try validate(record).get()
      #expect(summary.type != nil)
      let time = try #require(summary.eventTime) / 1_000_000_000
      #expect((1_430_438_400..<1_433_116_800).contains(time), "ts lies in May 2015")
      let selected = render(record, dropping)
      #expect(error(validate(selected)) == nil)
      #expect(!text(selected).contains("\"app_id\"") && !text(selected).contains("\"traits\""))
    }
    #expect(body(NDJSONRenderer(), records) == bytes)
    let array = body(ArrayRenderer(), records)
    let count = try array.withUnsafeBytes { try JSONArraySplitter(maxBodyBytes: .max).split($0) { _, _ in } }
    #expect(count == records.count)
  }
}
