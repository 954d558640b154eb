import PenstockDelivery
import PenstockEvents
import PenstockLog
import PenstockTestKit
import Testing

@testable import PenstockSinks
import PenstockSupport

/// Batches of which the filter leaves nothing: no object, and a chain without a gap.
struct ManifestOfFilteredTests {
  @TemporaryDirectory private var directory: String
  typealias Place = ExportUnderTest.Place
  private typealias Export = ExportUnderTest

  private static func filter() throws -> EventFilter {
    var wanted = EventFilter.Terms()
    wanted.events = ["kept"]
    return try EventFilter(including: wanted)
  }

  /// Every third batch of three, and the last one, has no row.
  private static func isFiltered(_ first: Int) -> Bool { first % 9 == 3 || first == 27 }

  private static func batch(_ range: Range<Int>, event: String? = nil) -> Batch {
    let event = event ?? (isFiltered(range.lowerBound) ? "dropped" : "kept")
    return makeBatch(range.map { "{\"event\":\"\(event)\",\"n\":\($0)}" }, first: UInt64(range.lowerBound))
  }

  private func export(_ place: Place) async throws -> Export {
    var layout = ExportLayout()
    layout.filter = try Self.filter()
    let export = try Export(place, layout, below: directory)
    try await export.fill { Self.batch($0) }
    return export
  }

  @Test(arguments: Place.allCases)
  func `a batch of which the filter leaves nothing has an entry and no object`(place: Place) async throws {
    let export = try await export(place)
    let entry = try #require(ManifestEntry.parse(try export.bytes(Export.entry(6)))).entry
    #expect(!entry.hasObject && (entry.first, entry.last) == (3, 5))
    #expect((entry.count, entry.bytes, entry.stored) == (0, 0, 0) && entry.sha256 == Digest.hex(Digest.sha256([])))
    let before = try #require(ManifestEntry.parse(try export.bytes(Export.entry(3))))
    #expect(entry.previous == before.hash)
    let report = try await export.verify(expecting: 0..<30)
    #expect(report.isSound, "\(report.lines)")
    #expect(report.objects == 6 && report.rows == 18 && report.batchesWithoutRows == 4 && report.end == 30)
    #expect(try await export.store.list(prefix: "exports/usages").count == 6)
  }

  @Test(arguments: Place.allCases)
  func `a lost cursor continues after records that were filtered`(place: Place) async throws {
    let export = try await export(place)
    #expect(try await export.reader().committedEnd() == .init(source: .manifest, committedEnd: 30))
    // Between object and entry, behind records that were filtered.
    #expect(try await export.deliver(Self.batch(30..<33, event: "kept")).isDelivered)
    try export.set(Export.entry(33), nil)
    let standing = try await export.reader().committedEnd()
    #expect(standing == .init(source: .manifest, committedEnd: 33, pending: [Export.object(30)]))
    try await export.reader().recordPending(standing)
    let report = try await export.verify(expecting: 0..<33)
    #expect(report.isSound && report.pending == nil, "\(report.lines)")
  }

  @Test(arguments: Place.allCases)
  func `an object among records that the manifest says were filtered is found`(place: Place) async throws {
    for first in [3, 4, 27] {
      let export = try await export(place)
      try export.set(Export.object(first), [1])
      let report = try await export.verify(expecting: 0..<30)
      #expect(report.findings.contains { $0.kind == .overlap && $0.key == Export.object(first) }, "\(report.lines)")
    }
  }

  @Test(arguments: Place.allCases)
  func `an entry that hides a deleted object as filtered is found`(place: Place) async throws {
    let changes: [(inout ManifestEntry) -> Void] = [
      { $0.key = "" },
      { ($0.key, $0.stored) = ("", 0) },
      { ($0.key, $0.stored, $0.count, $0.bytes) = ("", 0, 0, 0) },
      { entry in
        (entry.key, entry.stored, entry.count, entry.bytes) = ("", 0, 0, 0)
        entry.sha256 = Digest.hex(Digest.sha256([]))
        entry.id =
          DeliveryID(
            logID: logID, cursor: "archive", first: Offset(entry.first), end: Offset(entry.last + 1),
            contentDigest: Digest.sha256([])
          ).rawValue
      },
      // Too few rows for an object.
      { $0.count = 0 },
    ]
    for change in changes {
      let export = try await export(place)
      try export.set(Export.object(6), nil)
      try export.edit(9, change)
      let report = try await export.verify(expecting: 0..<30)
      #expect(report.findings.contains { $0.kind == .editedEntry }, "\(report.lines)")
    }
    // The newest entry, which none follows: rows and bytes betray it.
    let export = try await export(place)
    try export.edit(30) { $0.count = 3 }
    let edited = try await export.verify(expecting: 0..<30)
    #expect(edited.findings.map(\.kind) == [.editedEntry], "\(edited.lines)")
  }

  @Test(arguments: Place.allCases)
  func `a deleted entry of filtered records is found`(place: Place) async throws {
    let export = try await export(place)
    try export.set(Export.entry(6), nil)
    let report = try await export.verify(expecting: 0..<30)
    #expect(Set(report.findings.map(\.kind)) == [.gap, .missingEntry], "\(report.lines)")
    #expect(!report.lines.contains { $0.contains("dead letters") })
  }

  @Test(arguments: Place.allCases)
  func `a range that was committed without being delivered is a gap that says so`(place: Place) async throws {
    let export = try await export(place)
    // Record 30 became a dead letter: the kernel never showed it to the sink.
    #expect(try await export.deliver(Self.batch(31..<33, event: "kept")).isDelivered)
    #expect(try await export.deliver(Self.batch(33..<36, event: "kept")).isDelivered)
    let report = try await export.verify(expecting: 0..<36)
    #expect(report.findings.map(\.kind) == [.gap], "\(report.lines)")
    #expect(report.findings.first?.first == 30 && report.findings.first?.end == 31)
    #expect(report.findings.first?.detail.contains("dead letters") == true)
    #expect(try await export.reader().committedEnd() == .init(source: .manifest, committedEnd: 36))
  }

  @Test(arguments: Place.allCases)
  func `a cursor that was sought back meets its filtered batches again`(place: Place) async throws {
    let export = try await export(place)
    let before = try await export.store.list(prefix: "exports/")
    for first in [3, 12, 27] {
      let outcome = try await export.deliver(Self.batch(first..<first + 3))
      #expect(outcome.isDelivered, "\(outcome)")
    }
    // Cut or filtered otherwise than it was.
    for batch in [
      Self.batch(3..<5), Self.batch(2..<6, event: "dropped"), Self.batch(4..<6, event: "dropped"),
      Self.batch(3..<6, event: "kept"), Self.batch(0..<3, event: "dropped"),
    ] {
      let outcome = try await export.deliver(batch)
      #expect(outcome.isConflict, "\(batch.first): \(outcome)")
    }
    #expect(try await export.store.list(prefix: "exports/") == before)
    #expect(try await export.verify(expecting: 0..<30).isSound)
  }

  @Test func `without a manifest a batch of which nothing is left needs no store`() async throws {
    var layout = ExportLayout()
    layout.manifest = false
    layout.filter = try ManifestOfFilteredTests.filter()
    let sink = try DirectorySink(root: directory, layout: layout)
    #expect(await sink.deliver(try makeDelivery(sink, Self.batch(3..<6))) == .nothingToSend)
    #expect(try await DirectoryExportStore(root: directory).list(prefix: "").isEmpty)
  }
}
