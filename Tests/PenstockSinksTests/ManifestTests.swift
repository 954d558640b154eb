import PenstockDelivery
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks
import PenstockSupport

/// A proven export, every way to spoil it, and what the proof says then; in a bucket and in a directory.
struct ManifestTests {
  @TemporaryDirectory private var directory: String
  typealias Place = ExportUnderTest.Place
  private typealias Export = ExportUnderTest

  private static func batch(_ range: Range<Int>) -> Batch {
    makeBatch(range.map { "{\"n\":\($0)}" }, first: UInt64(range.lowerBound))
  }

  private func export(_ place: Place, compression: ExportCompression = .none) async throws -> Export {
    var layout = ExportLayout()
    layout.compression = compression
    let export = try Export(place, layout, below: directory)
    try await export.fill(Self.batch)
    return export
  }

  @Test(arguments: Place.allCases, [.none, .gzip(), .zstd()] as [ExportCompression])
  func `an export proves itself`(place: Place, compression: ExportCompression) async throws {
    let export = try await export(place, compression: compression)
    for depth in ExportReport.Depth.allCases {
      let report = try await export.verify(depth, expecting: 0..<30)
      #expect(report.isSound, "\(report.lines)")
      #expect(report.first == 0 && report.end == 30 && report.objects == 10 && report.rows == 30)
      #expect(report.hasManifest && report.pending == nil)
      #expect(report.lines.count == 1 && report.lines[0].contains("records 0 to 29 in 10 objects"))
    }
  }

  @Test func `a line is written the same way everywhere, and names the one before`() async throws {
    let export = try await export(.bucket)
    let first = try export.bytes(Export.entry(3))
    let second = try export.bytes(Export.entry(6))
    let rows = Array("{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n".utf8)
    let id = DeliveryID(
      logID: logID, cursor: "archive", first: Offset(0), end: Offset(3), contentDigest: Digest.sha256(rows))
    #expect(
      String(decoding: first, as: UTF8.self)
        == "{\"version\":1,\"log\":\"\(logID)\",\"cursor\":\"archive\",\"id\":\"\(id.rawValue)\","
        + "\"key\":\"\(Export.object(0))\",\"first\":0,\"last\":2,\"count\":3,\"bytes\":24,"
        + "\"sha256\":\"\(Digest.hex(Digest.sha256(rows)))\",\"stored\":24,"
        + "\"storedSha256\":\"\(Digest.hex(Digest.sha256(rows)))\",\"closed\":\"records\","
        + "\"previous\":\"\(String(repeating: "0", count: 64))\"}\n")
    let previous = try #require(ManifestEntry.parse(second)?.entry.previous)
    #expect(previous == Digest.hex(Digest.sha256(Array(first.dropLast()))))
    #expect(ManifestEntry.parse(Array(first.dropLast())) == nil)
    #expect(ManifestEntry.parse([UInt8(ascii: " ")] + first) == nil)
  }

  /// What is done to an export, and what must be found; `metadata` where the bucket's metadata is what tells.
  private struct Damage: CustomTestStringConvertible {
    let name: String
    let kinds: Set<ExportReport.Finding.Kind>
    var depth = ExportReport.Depth.listing
    var places = Place.allCases
    let change: @Sendable (Export) throws -> Void
    var testDescription: String { name }
  }

  private static let damages: [Damage] = [
    Damage(name: "a deleted object", kinds: [.missingObject]) { try $0.set(Export.object(9), nil) },
    Damage(name: "a truncated object", kinds: [.alteredObject]) {
      try $0.set(Export.object(9), $0.bytes(Export.object(9)).dropLast())
    },
    Damage(name: "a changed object of the same size", kinds: [.wrongContent], depth: .content) {
      var bytes = try $0.bytes(Export.object(9))
      bytes[5] ^= 1
      try $0.set(Export.object(9), bytes)
    },
    Damage(name: "changed metadata", kinds: [.alteredObject], depth: .metadata, places: [.bucket]) {
      $0.bucket?[Export.object(9)]?.headers = [(name: "x-amz-meta-penstock-sha256", value: "0")]
    },
    Damage(name: "a foreign object", kinds: [.foreignObject]) { try $0.set("exports/usages-of-mine.json", [1]) },
    Damage(name: "an object of records that are in others", kinds: [.overlap]) {
      try $0.set("exports/usages-2026-02-28T23-\(10.padded(20))-\(13.padded(20)).json", [1])
    },
    Damage(name: "an object far behind the end", kinds: [.missingEntry]) { try $0.set(Export.object(60), [1]) },
    Damage(name: "an edited count", kinds: [.editedEntry]) { try $0.edit(12) { $0.count += 1 } },
    Damage(name: "an edited size in the newest line", kinds: [.alteredObject]) { try $0.edit(30) { $0.stored += 1 } },
    Damage(name: "an edited hash in the newest line", kinds: [.editedEntry]) {
      try $0.edit(30) { $0.sha256 = String(repeating: "0", count: 64) }
    },
    Damage(name: "an edited range", kinds: [.editedEntry, .overlap]) { try $0.edit(12) { $0.first -= 1 } },
    Damage(name: "a key of another object", kinds: [.editedEntry, .missingEntry, .overlap, .alteredObject]) {
      try $0.edit(12) { $0.key = Export.object(6) }
    },
    Damage(name: "an edited previous", kinds: [.editedEntry]) {
      try $0.edit(12) { $0.previous = ManifestEntry.noPrevious }
    },
    Damage(name: "a line that is none", kinds: [.unreadableEntry, .gap, .overlap]) {
      try $0.set(Export.entry(12), [1])
    },
    Damage(name: "something else in the folder", kinds: [.unreadableEntry]) { try $0.set(Export.manifest + "x", [1]) },
    Damage(name: "a deleted line", kinds: [.missingEntry, .gap]) { try $0.set(Export.entry(12), nil) },
    Damage(name: "the first line deleted", kinds: [.missingEntry]) { try $0.set(Export.entry(3), nil) },
    Damage(name: "a line and its object deleted", kinds: [.missingEntry, .gap]) {
      try $0.set(Export.entry(12), nil)
      try $0.set(Export.object(9), nil)
    },
    Damage(name: "two lines and the object between renamed away", kinds: [.missingEntry, .gap]) {
      for end in [12, 15] { try $0.set(Export.entry(end), nil) }
      for first in [9, 12] { try $0.set(Export.object(first), nil) }
    },
  ]

  @Test(arguments: damages.indices)
  func `every damage is found and named`(index: Int) async throws {
    let damage = Self.damages[index]
    for place in damage.places {
      let export = try await export(place)
      try damage.change(export)
      let report = try await export.verify(damage.depth)
      let found = Set(report.findings.map(\.kind))
      #expect(!report.isSound, "\(damage.name), \(place)")
      #expect(found.isSubset(of: damage.kinds.union([.missingEntry])), "\(damage.name), \(place): \(report.lines)")
      #expect(!found.isDisjoint(with: damage.kinds), "\(damage.name), \(place): \(report.lines)")
      #expect(report.lines.count == report.findings.count + (report.pending == nil ? 1 : 2))
    }
  }

  @Test func `what must be there and is not is a gap at the ends`() async throws {
    let export = try await export(.bucket)
    let report = try await export.verify(.listing, expecting: 0..<33)
    #expect(report.findings.map(\.kind) == [.gap])
    #expect(report.findings.first?.first == 30 && report.findings.first?.end == 33)
  }

  @Test(arguments: Place.allCases)
  func `an object whose entry is not written yet is under way, and no finding`(place: Place) async throws {
    let export = try await export(place)
    try export.set(Export.entry(30), nil)
    let report = try await export.verify()
    #expect(report.isSound, "\(report.lines)")
    #expect(report.pending == Export.object(27))
    #expect(report.end == 30)
    // The delivery's next attempt, in another process, writes the entry it would have written.
    let again = try Export(place, export.layout, root: export.root)
    if place == .directory {
      #expect(await again.sink.deliver(try makeDelivery(again.sink, Self.batch(27..<30))).isDelivered)
      #expect(try await export.verify().pending == nil)
    }
  }

  @Test(arguments: Place.allCases)
  func `without a manifest the names alone prove that nothing is missing between them`(place: Place) async throws {
    let export = try await export(place)
    for end in stride(from: 3, through: 30, by: 3) { try export.set(Export.entry(end), nil) }
    let report = try await export.verify()
    #expect(report.isSound && !report.hasManifest && report.end == 30, "\(report.lines)")
    try export.set(Export.object(9), nil)
    #expect(try await export.verify().findings.map(\.kind) == [.gap])
  }

  // MARK: A cursor from its export

  @Test(arguments: Place.allCases)
  func `a lost cursor continues where its export ends`(place: Place) async throws {
    let export = try await export(place)
    let reader = try export.reader()
    #expect(try await reader.committedEnd() == .init(source: .manifest, committedEnd: 30))
    // The process ended between object and entry: the object is whole, so its records are there.
    try export.set(Export.entry(30), nil)
    let standing = try await reader.committedEnd()
    #expect(standing == .init(source: .manifest, committedEnd: 30, pending: [Export.object(27)]))
    try await reader.recordPending(standing)
    #expect(try await reader.committedEnd() == .init(source: .manifest, committedEnd: 30))
    let report = try await export.verify()
    #expect(report.isSound && report.pending == nil, "\(report.lines)")
  }

  @Test(arguments: Place.allCases)
  func `when the manifest is gone or damaged, the names say how far it is without a gap`(place: Place) async throws {
    let export = try await export(place)
    let reader = try export.reader()
    try export.set(Export.entry(30), [1])
    let damaged = try await reader.committedEnd()
    #expect(damaged.source == .listing && damaged.committedEnd == 30)
    #expect(damaged.doubts.first?.contains("damaged") == true)
    for end in stride(from: 3, through: 30, by: 3) { try export.set(Export.entry(end), nil) }
    #expect(try await reader.committedEnd() == .init(source: .listing, committedEnd: 30))
    try export.set(Export.object(9), nil)
    let gap = try await reader.committedEnd()
    #expect(gap.committedEnd == 9 && gap.doubts.count == 1, "\(gap)")
    for first in stride(from: 0, to: 30, by: 3) where first != 9 { try export.set(Export.object(first), nil) }
    #expect(try await reader.committedEnd() == .init(source: .nothing, committedEnd: 0))
  }

  @Test func `an object that is gone, or comes after a gap, is a doubt`() async throws {
    let export = try await export(.bucket)
    let reader = try export.reader()
    try export.set(Export.object(27), nil)
    #expect(try await reader.committedEnd().doubts.count == 1)
    try export.set(Export.object(60), [1])
    let standing = try await reader.committedEnd()
    #expect(standing.committedEnd == 30 && standing.doubts.count == 2, "\(standing)")
  }

  @Test func `a chain continues over a restart, and an entry of another object is a conflict`() async throws {
    let export = try await export(.bucket)
    let entry = try export.bytes(Export.entry(12))
    // Two writers at once: [10, 12) ends where [9, 12) ended meanwhile.
    let batch = makeBatch(["{\"n\":10}", "{\"n\":11}"], first: 10)
    let delivery = try makeDelivery(export.sink, batch)
    let plan = try ExportPlan(parsing: delivery.intent.plan)
    let outcome = await ManifestWriter(store: export.store).record(delivery, plan, stored: StoredObject(of: [1]))
    #expect(outcome?.isConflict == true && outcome?.words.contains("a different object") == true, "\(outcome as Any)")
    #expect(try export.bytes(Export.entry(12)) == entry)
  }

  @Test(arguments: Place.allCases)
  func `a cursor that was sought back, in another hour, exports nothing twice`(place: Place) async throws {
    let export = try await export(place)
    let before = try await export.store.list(prefix: "exports/")
    func deliver(_ batch: Batch) async throws -> DeliveryOutcome {
      let later = Timestamp(nanoseconds: Timestamp.fixed.nanoseconds + 2 * 3_600_000_000_000)
      return await export.sink.deliver(try makeDelivery(export.sink, batch, at: later))
    }
    for first in [0, 3, 27] {
      let outcome = try await deliver(Self.batch(first..<first + 3))
      #expect(outcome.isDelivered && outcome.words.contains(Export.object(first)), "\(outcome)")
    }
    // Cut otherwise: some of the records are there.
    for range in [0..<2, 1..<4, 26..<30, 28..<33] {
      let outcome = try await deliver(Self.batch(range))
      #expect(outcome.isConflict && outcome.words.contains("already exported"), "\(range): \(outcome)")
    }
    #expect(try await export.store.list(prefix: "exports/") == before)
    #expect(try await deliver(Self.batch(30..<33)).isDelivered)
    #expect(try await export.verify(.content, expecting: 0..<33).isSound)
  }

  @Test func `in a process that keeps running, an object costs two requests`() async throws {
    let export = try await export(.bucket)
    let calls = try #require(export.bucket).calls
    #expect(calls.prefix(3) == ["list", "put", "put"])
    #expect(calls.dropFirst(3).allSatisfy { $0 == "put" })
    #expect(calls.count == 21)
  }

  @Test(arguments: Place.allCases)
  func `an export whose names were changed on the way is proved as one`(place: Place) async throws {
    let export = try await export(place)
    var layout = ExportLayout(prefix: "exports/events")
    layout.compression = .gzip()
    let batch = Self.batch(30..<33)
    let delivery = try makeDelivery(export.sink, batch, plan: layout.plan(outline(batch)).encoded())
    #expect(await export.sink.deliver(delivery).isDelivered)
    for layout in [layout, export.layout] {
      let verifier = try ExportVerifier(store: export.store, layout: layout, logID: logID, cursor: "archive")
      let report = try await verifier.verify(.content, expecting: 0..<33)
      #expect(report.isSound && report.objects == 11, "\(report.lines)")
    }
  }
}
