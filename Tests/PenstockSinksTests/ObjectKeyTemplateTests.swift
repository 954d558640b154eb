import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct ObjectKeyTemplateTests {
  private let outline = PenstockSinksTests.outline(makeBatch(["{}", "{}", "{}"], first: 1041))

  private func key(_ template: String, suffix: String = "") throws -> String {
    try ObjectKeyTemplate(template).key(for: outline, suffix: suffix)
  }

  @Test(arguments: [
    // Sorted by offset, and named by the last record, not the one after.
    (
      ObjectKeyTemplate.standard, "exports/usages-2026-02-28T23-00000000000000001041-00000000000000001043.json"
    ),
    (
      "{cursor}/{yyyy}{MM}{dd}{HH}{mm}/{first}-{last}",
      "archive/202602282359/00000000000000001041-00000000000000001043"
    ),
  ])
  func `every field is filled in, in UTC`(template: String, expected: String) throws {
    #expect(try key(template) == expected)
  }

  @Test func `the largest offset fits`() throws {
    var outline = outline
    outline.first = Offset(.max - 1)
    outline.end = Offset(.max)
    #expect(
      try ObjectKeyTemplate("{first}-{last}").key(for: outline, suffix: "")
        == "18446744073709551614-18446744073709551614")
  }

  @Test func `the suffix is added once`() throws {
    #expect(try key("{first}-{last}.json", suffix: ".gz").hasSuffix(".json.gz"))
    #expect(try key("{first}-{last}.json.gz", suffix: ".gz").hasSuffix(".json.gz"))
    #expect(try !key("{first}-{last}.json.gz", suffix: ".gz").hasSuffix(".gz.gz"))
  }

  @Test(arguments: ["", "exports/usages.json", "{first}", "{last}", "{yyyy}{cursor}-{first}"])
  func `a template under which two batches could share a name is refused`(template: String) {
    expectSinkError(containing: "needs {first} and {last}") { _ = try ObjectKeyTemplate(template) }
  }

  @Test(arguments: [
    ("{first}{last}{hour}", "{hour}"), ("{first}{last}{}", "{}"), ("{first}{last", "brace"),
    ("{first}}{last}", "brace"), ("}{first}{last}", "brace"), ("{First}{last}", "{First}"),
    ("{{first}}{last}", "{{first}"),
  ])
  func `a template that is not one is refused`(template: String, words: String) {
    expectSinkError(containing: words) { _ = try ObjectKeyTemplate(template) }
  }

  @Test(arguments: [
    "/{first}-{last}", "a//{first}-{last}", "../{first}-{last}", "a/./{first}{last}", "{first}{last}/",
    "a\n{first}{last}",
  ])
  func `a key that would be read as another place is refused`(template: String) {
    #expect(throws: SinkError.self) { try key(template) }
  }

  @Test func `a cursor's name does not lead out of the directory`() throws {
    var outline = outline
    outline.cursor = ".."
    #expect(throws: SinkError.self) { try ObjectKeyTemplate("{cursor}/{first}-{last}").key(for: outline, suffix: "") }
  }

  @Test func `a key of 1,024 bytes is the longest`() throws {
    let offsets = 40
    let fits = String(repeating: "é", count: (1024 - offsets) / 2)
    #expect(try key(fits + "{first}{last}").utf8.count == 1024)
    expectSinkError(containing: "1025 bytes") { _ = try key(fits + "x{first}{last}") }
  }

  @Test func `a key tells its range to the template that made it, and to no other`() throws {
    let suffixes = ["", ".gz", ".zst"]
    let standard = try ObjectKeyTemplate(ObjectKeyTemplate.standard)
    let batch = makeBatch(["a", "b", "c"], first: 7)
    for suffix in suffixes {
      let key = try standard.key(for: PenstockSinksTests.outline(batch), suffix: suffix)
      #expect(standard.range(of: key, cursor: "archive", suffixes: suffixes) == 7..<10)
      #expect(standard.range(of: key + "x", cursor: "archive", suffixes: suffixes) == nil)
      #expect(standard.range(of: "x" + key, cursor: "archive", suffixes: suffixes) == nil)
    }
    let adjacent = try ObjectKeyTemplate("{cursor}/{first}{last}-{first}")
    let key = try adjacent.key(for: PenstockSinksTests.outline(batch), suffix: "")
    #expect(adjacent.range(of: key, cursor: "archive", suffixes: suffixes) == 7..<10)
    #expect(adjacent.range(of: key, cursor: "other", suffixes: suffixes) == nil)
    #expect(adjacent.range(of: String(key.dropLast()) + "8", cursor: "archive", suffixes: suffixes) == nil)
    #expect(adjacent.prefix(cursor: "archive") == "archive/")
    #expect(standard.prefix(cursor: "archive") == "exports/usages-")
    // The last before the first is no range, and the largest number has none behind it.
    let zeros = String(repeating: "0", count: 19)
    #expect(adjacent.range(of: "c/\(zeros)2\(zeros)1-\(zeros)2", cursor: "c", suffixes: [""]) == nil)
    #expect(adjacent.range(of: "c/\(zeros)2\(UInt64.max)-\(zeros)2", cursor: "c", suffixes: [""]) == nil)
  }

  @Test func `the manifest's folder is not the objects'`() throws {
    expectSinkError(containing: "manifest") { _ = try ObjectKeyTemplate("a/_penstock/{first}-{last}") }
    let places = ["exports/usages-{yyyy}-{first}-{last}", "{yyyy}/{first}-{last}", "a/{cursor}/b-{first}-{last}"].map {
      try? Manifest.folder(ObjectKeyTemplate($0), logID: "l", cursor: "c")
    }
    #expect(places == ["exports/_penstock/l/c/", "_penstock/l/c/", "a/c/_penstock/l/c/"])
    #expect(Manifest.end(of: Manifest.key(in: "p/", end: 12), in: "p/") == 12)
    for key in ["p/12.json", "p/", "q/00000000000000000012.json", "p/00000000000000000012.json.x"] {
      #expect(Manifest.end(of: key, in: "p/") == nil, "\(key)")
    }
  }
}

struct CompressionTests {
  private static let samples: [[UInt8]] = [
    [], [0x0A], Array("{\"a\":1}\n".utf8),
    Array(String(repeating: #"{"event":"Impression","ts":1}"# + "\n", count: 20_000).utf8),
    (0..<70_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 7) },
  ]

  @Test(
    arguments: [.none, .gzip(level: 1), .gzip(), .gzip(level: 9), .zstd(level: 1), .zstd(), .zstd(level: 19)]
      as [ExportCompression])
  func `what is compressed comes back`(compression: ExportCompression) throws {
    for sample in Self.samples {
      let compressed = try compression.compress(sample)
      #expect(compression.decompress(compressed, count: sample.count) == sample)
      #expect(compression.decompress(compressed, count: sample.count + 1) == nil)
      if !sample.isEmpty { #expect(compression.decompress(compressed, count: sample.count - 1) == nil) }
    }
  }

  @Test(arguments: [.gzip(), .zstd()] as [ExportCompression])
  func `damaged or cut content does not come back as something else`(compression: ExportCompression) throws {
    let sample = Self.samples[3]
    let compressed = try compression.compress(sample)
    #expect(compression.decompress(Array(compressed.dropLast()), count: sample.count) == nil)
    #expect(compression.decompress(compressed + [0], count: sample.count) == nil)
    #expect(compression.decompress([], count: sample.count) == nil)
    for index in stride(from: compressed.count / 4, to: compressed.count, by: 7) {
      var damaged = compressed
      damaged[index] ^= 0x10
      let content = compression.decompress(damaged, count: sample.count)
      #expect(content == nil || content == sample)
    }
  }

  @Test func `gzip holds no time and no name, so that equal content is equal bytes`() throws {
    let compressed = try Gzip.compress(Self.samples[2], level: 6)
    #expect(Array(compressed[0..<4]) == [0x1F, 0x8B, 8, 0])
    #expect(Array(compressed[4..<8]) == [0, 0, 0, 0])
    #expect(try Gzip.compress(Self.samples[2], level: 6) == compressed)
  }

  @Test func `levels that do not exist are refused`() {
    for compression in [ExportCompression.gzip(level: 0), .gzip(level: 10), .zstd(level: 0), .zstd(level: 20)] {
      expectSinkError(containing: "level must be") { try compression.validate() }
    }
  }
}
