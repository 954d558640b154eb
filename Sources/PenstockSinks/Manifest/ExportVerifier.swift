import Crypto
public import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Checks an export against its manifest. Every record from the first to the last must be in exactly one object, or in
/// a batch without rows, and every object must match its entry.
///
/// Dead letters, records lost to retention, and records that a moved cursor skipped are in no object. That is a
/// ``ExportReport/Finding/Kind/gap``; its message says that the records were in no object when the next entry was
/// written.
///
/// Reads a cursor's objects and changes nothing. A delivery may run at the same time. Then its newest object may have
/// no entry yet; the report has it as ``ExportReport/pending``.
public struct ExportVerifier: Sendable {
  /// The store of the export.
  public let store: any ExportStore
  private let template: ObjectKeyTemplate
  private let log: String
  private let cursor: String
  private let folder: String

  /// - Parameters:
  ///   - store: The bucket or directory.
  ///   - layout: The layout of the cursor's object names. Objects of an earlier template in the same folder count, too,
  ///     if they have an entry.
  ///   - logID: The log's UUID, as 32 hexadecimal digits.
  ///   - cursor: The name of the export's cursor.
  /// - Throws: `SinkError` for an invalid layout.
  public init(
    store: any ExportStore, layout: ExportLayout = ExportLayout(), logID: String, cursor: String
  ) throws(SinkError) {
    self.store = store
    template = try ObjectKeyTemplate(layout.keyTemplate)
    log = logID
    self.cursor = cursor
    folder = Manifest.folder(template, logID: logID, cursor: cursor)
  }

  /// Checks the export.
  ///
  /// - Parameters:
  ///   - depth: What to read: names and the manifest, also the metadata, or also the content.
  ///   - expected: The records that must be exported, such as `0 ..< committed`; nil for no such check.
  /// - Throws: ``ExportStoreError`` if a request to the store fails. A finding is not an error.
  ///
  /// Complexity: one request per 1,000 objects and one per entry; `metadata` and `content` add one per object.
  /// `content` keeps one object at a time in memory.
  public func verify(
    _ depth: ExportReport.Depth = .listing, expecting expected: Range<UInt64>? = nil
  ) async throws(ExportStoreError) -> ExportReport {
    // Read the manifest first: then the later list has the object of every entry.
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
        try await check(entry, depth, &report)
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
    for object in try await store.list(prefix: folder) {
      let parsed = try await store.read(object.key, limit: Manifest.maxEntryBytes).flatMap { ManifestEntry.parse($0) }
      let end = Manifest.end(of: object.key, in: folder)
      lines.append(.init(key: object.key, end: end ?? .max, parsed: end == nil ? nil : parsed))
    }
    return lines
  }

  func listObjects() async throws(ExportStoreError) -> [ExportObject] {
    let prefix = template.prefix(cursor: cursor)
    return try await store.list(prefix: prefix).filter { object in
      !object.key.split(separator: "/").contains { $0 == Manifest.name }
    }
  }

  /// Objects with an entry that this template's list does not contain: they were written with a different template.
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

  private func check(
    _ entry: ManifestEntry, _ depth: ExportReport.Depth, _ report: inout ExportReport
  ) async throws(ExportStoreError) {
    let range = entry.first..<entry.last + 1
    if let metadata = try await store.facts(of: entry.key)?.metadata {
      var expected = entry.metadata
      // An object whose hash was not known when its upload began has it in its entry alone.
      if metadata["stored-sha256"] != nil, !entry.storedSHA256.isEmpty {
        expected["stored-sha256"] = entry.storedSHA256
      }
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
    // Also where the rows are right: who repeats the hash of the object must find it.
    if !entry.storedSHA256.isEmpty, Digest.hex(Digest.sha256(bytes)) != entry.storedSHA256 {
      report.findings.append(
        .init(
          .wrongContent, key: entry.key, range,
          "its bytes are not those of SHA-256 \(entry.storedSHA256.prefix(16))…"))
    }
    let compression: ExportCompression =
      entry.key.hasSuffix(".gz") ? .gzip() : entry.key.hasSuffix(".zst") ? .zstd() : .none
    let content = compression.decompress(bytes, count: entry.bytes)
    guard let content, let digest = entry.digest, ContentDigest(digest.kind, of: content) == digest else {
      let words = entry.crc32c.isEmpty ? "SHA-256 \(entry.sha256.prefix(16))…" : "CRC-32C \(entry.crc32c)"
      report.findings.append(.init(.wrongContent, key: entry.key, range, "its rows are not those of \(words)"))
      return
    }
    let rows = content.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    if rows != entry.count {
      report.findings.append(.init(.wrongContent, key: entry.key, range, "it has \(rows) rows, not \(entry.count)"))
    }
  }
}

extension ManifestEntry {
  /// What the object's metadata must say, by name without `x-amz-meta-penstock-`.
  fileprivate var metadata: [String: String] {
    var expected = [
      "length": String(bytes), "count": String(count), "first": String(first), "last": String(last), "log": log,
      "id": id,
    ]
    if let digest { expected[digest.kind.rawValue] = digest.text }
    return expected
  }
}
