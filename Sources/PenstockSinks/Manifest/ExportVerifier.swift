import Crypto
public import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Proves an export against its manifest: every record from the first to the last in exactly one object, or in a batch that
/// the manifest says had no rows, and every object what was written.
///
/// A record that became a dead letter, was lost to retention, or that the cursor was moved past, is in no object: that is a
/// ``ExportReport/Finding/Kind/gap``, whose words say that nothing was there when the next entry was written.
///
/// Looks at a cursor's objects and changes nothing. A delivery may be under way: its newest object can then stand without
/// an entry, and is reported as ``ExportReport/pending``.
public struct ExportVerifier: Sendable {
  public let store: any ExportStore
  private let template: ObjectKeyTemplate
  private let log: String
  private let cursor: String
  private let place: String

  /// - Parameters:
  ///   - store: The bucket or directory.
  ///   - layout: How the cursor's objects are named. Recorded objects of an earlier template in the same folder count, too.
  ///   - logID: The log's UUID, as 32 hexadecimal digits.
  ///   - cursor: The name of the cursor whose export it is.
  /// - Throws: `SinkError` for a layout that cannot work.
  public init(
    store: any ExportStore, layout: ExportLayout = ExportLayout(), logID: String, cursor: String
  ) throws(SinkError) {
    self.store = store
    template = try ObjectKeyTemplate(layout.keyTemplate)
    log = logID
    self.cursor = cursor
    place = Manifest.place(template, logID: logID, cursor: cursor)
  }

  /// - Parameters:
  ///   - depth: How much is read: names and the manifest, what stands beside each object, or all there is.
  ///   - expected: The records that must be there, such as `0 ..< committed`; nil for whatever there is.
  /// - Throws: ``ExportStoreError`` when the store cannot be asked. A finding is no error.
  ///
  /// Complexity: one request for 1,000 objects, one for each entry; with `metadata` and `content` one more for each object. An
  /// object that is compressed is held in memory while its content is looked at.
  public func verify(
    _ depth: ExportReport.Depth = .listing, expecting expected: Range<UInt64>? = nil
  ) async throws(ExportStoreError) -> ExportReport {
    // The manifest first: an entry that is written meanwhile has its object in the list that follows.
    let lines = try await readManifest()
    let catalogue = ExportCatalogue(
      template: template, suffixes: Self.suffixes, log: log, cursor: cursor, lines: lines,
      objects: try await listObjects() + elsewhere(lines))
    var report = ExportReport(log: log, cursor: cursor, depth: depth)
    catalogue.check(&report)
    if let expected { report.findings += Self.outside(expected, report) }
    if depth != .listing {
      let missing = Set(report.findings.filter { $0.kind == .missingObject }.compactMap(\.key))
      for entry in catalogue.entries where entry.hasObject && !missing.contains(entry.key) {
        try await look(at: entry, depth, &report)
      }
    }
    report.findings.sort {
      ($0.first ?? .max, $0.kind.rawValue, $0.key ?? "") < ($1.first ?? .max, $1.kind.rawValue, $1.key ?? "")
    }
    return report
  }

  static let suffixes = ["", ExportCompression.gzip().suffix, ExportCompression.zstd().suffix]

  func readManifest() async throws(ExportStoreError) -> [ExportCatalogue.Line] {
    var lines: [ExportCatalogue.Line] = []
    for object in try await store.list(prefix: place) {
      let parsed = try await store.read(object.key, limit: Manifest.maxEntryBytes).flatMap { ManifestEntry.parse($0) }
      let end = Manifest.end(of: object.key, in: place)
      lines.append(.init(key: object.key, end: end ?? .max, parsed: end == nil ? nil : parsed))
    }
    return lines
  }

  func listObjects() async throws(ExportStoreError) -> [ExportObject] {
    let prefix = template.prefix(cursor: cursor)
    return try await store.list(prefix: prefix).filter { object in
      !object.key.split(separator: "/").contains { $0 == Manifest.folder }
    }
  }

  /// Recorded objects that no list of this template's shows: the template was another one when they were written.
  private func elsewhere(_ lines: [ExportCatalogue.Line]) async throws(ExportStoreError) -> [ExportObject] {
    let prefix = template.prefix(cursor: cursor)
    var found: [ExportObject] = []
    for key in lines.compactMap({ $0.parsed?.entry.key }) where !key.isEmpty && !key.hasPrefix(prefix) {
      if let facts = try await store.facts(of: key) { found.append(ExportObject(key: key, size: facts.size)) }
    }
    return found
  }

  private static func outside(_ expected: Range<UInt64>, _ report: ExportReport) -> [ExportReport.Finding] {
    let (first, end) = (report.first ?? expected.lowerBound, report.end ?? expected.lowerBound)
    var findings: [ExportReport.Finding] = []
    if first > expected.lowerBound {
      findings.append(
        .init(.gap, expected.lowerBound..<first, "records \(expected.lowerBound) to \(first - 1) are in no object"))
    }
    if end < expected.upperBound {
      findings.append(
        .init(.gap, end..<expected.upperBound, "records \(end) to \(expected.upperBound - 1) are in no object"))
    }
    return findings
  }

  private func look(
    at entry: ManifestEntry, _ depth: ExportReport.Depth, _ report: inout ExportReport
  ) async throws(ExportStoreError) {
    let range = entry.first..<entry.last + 1
    if let metadata = try await store.facts(of: entry.key)?.metadata {
      let expected = [
        "sha256": entry.sha256, "length": String(entry.bytes), "count": String(entry.count),
        "first": String(entry.first), "last": String(entry.last), "log": entry.log, "id": entry.id,
      ]
      let wrong = expected.filter { metadata[$0.key] != $0.value }.keys.sorted()
      if !wrong.isEmpty {
        report.findings.append(
          .init(
            .alteredObject, key: entry.key, range,
            "its metadata differs from its entry in \(wrong.joined(separator: ", "))"))
      }
    }
    guard depth == .content else { return }
    guard let bytes = try await store.read(entry.key, limit: entry.stored + 1) else { return }
    let compression: ExportCompression =
      entry.key.hasSuffix(".gz") ? .gzip() : entry.key.hasSuffix(".zst") ? .zstd() : .none
    let content = compression.decompress(bytes, count: entry.bytes)
    guard let content, Digest.hex(Digest.sha256(content)) == entry.sha256 else {
      report.findings.append(
        .init(.wrongContent, key: entry.key, range, "its rows are not those of SHA-256 \(entry.sha256.prefix(16))…"))
      return
    }
    let rows = content.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    if rows != entry.count {
      report.findings.append(.init(.wrongContent, key: entry.key, range, "it has \(rows) rows, not \(entry.count)"))
    }
  }
}
