import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

struct ObjectKeyTemplateTests {
  private let outline = PenstockSinksTests.outline(makeBatch(["{}", "{}", "{}"], first: 1041))

  private func key(_ template: String, suffix: String = "") throws -> String {
    try ObjectKeyTemplate(template).key(for: outline, suffix: suffix)
  }

  @Test("the standard key sorts by offset and names the last record, not the one after")
  func standard() throws {
    #expect(
      try key(ObjectKeyTemplate.standard)
        == "exports/usages-2026-02-28T23-00000000000000001041-00000000000000001043.json")
  }

  @Test("every field is filled in, in UTC")
  func everyField() throws {
    #expect(
      try key("{cursor}/{yyyy}{MM}{dd}{HH}{mm}/{first}-{last}")
        == "archive/202602282359/00000000000000001041-00000000000000001043")
  }

  @Test("the largest offset fits")
  func largestOffset() throws {
    var outline = outline
    outline.first = Offset(.max - 1)
    outline.end = Offset(.max)
    #expect(
      try ObjectKeyTemplate("{first}-{last}").key(for: outline, suffix: "")
        == "18446744073709551614-18446744073709551614")
  }

  @Test("the suffix is added once")
  func suffix() throws {
    #expect(try key("{first}-{last}.json", suffix: ".gz").hasSuffix(".json.gz"))
    #expect(try key("{first}-{last}.json.gz", suffix: ".gz").hasSuffix(".json.gz"))
    #expect(try !key("{first}-{last}.json.gz", suffix: ".gz").hasSuffix(".gz.gz"))
  }

  @Test(
    "a template under which two batches could share a name is refused",
    arguments: ["", "exports/usages.json", "{first}", "{last}", "{yyyy}{cursor}-{first}"])
  func needsBothOffsets(template: String) {
    expectSinkError(containing: "needs {first} and {last}") { _ = try ObjectKeyTemplate(template) }
  }

  @Test(
    "a template that is not one is refused",
    arguments: [
      ("{first}{last}{hour}", "{hour}"), ("{first}{last}{}", "{}"), ("{first}{last", "brace"),
      ("{first}}{last}", "brace"), ("}{first}{last}", "brace"), ("{First}{last}", "{First}"),
      ("{{first}}{last}", "{{first}"),
    ])
  func malformed(template: String, words: String) {
    expectSinkError(containing: words) { _ = try ObjectKeyTemplate(template) }
  }

  @Test(
    "a key that would be read as another place is refused",
    arguments: [
      "/{first}-{last}", "a//{first}-{last}", "../{first}-{last}", "a/./{first}{last}", "{first}{last}/",
      "a\n{first}{last}",
    ])
  func strangePlaces(template: String) {
    #expect(throws: SinkError.self) { try key(template) }
  }

  @Test("a cursor's name does not lead out of the directory")
  func strangeCursor() throws {
    var outline = outline
    outline.cursor = ".."
    #expect(throws: SinkError.self) {
      try ObjectKeyTemplate("{cursor}/{first}-{last}").key(for: outline, suffix: "")
    }
  }

  @Test("a key of 1,024 bytes is the longest")
  func longest() throws {
    let offsets = 40
    let fits = String(repeating: "é", count: (1024 - offsets) / 2)
    #expect(try key(fits + "{first}{last}").utf8.count == 1024)
    expectSinkError(containing: "1025 bytes") { _ = try key(fits + "x{first}{last}") }
  }

  @Test("a key tells its range to the template that made it, and to no other")
  func reading() throws {
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

  @Test("the manifest's folder is not the objects'")
  func manifestFolder() throws {
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
