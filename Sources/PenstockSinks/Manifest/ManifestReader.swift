public import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Finds the position of a lost cursor from its export.
public struct ManifestReader: Sendable {
  private let verifier: ExportVerifier
  private let template: ObjectKeyTemplate
  private let log: String
  private let cursor: String
  private let folder: String

  /// The end of an export, where its cursor continues.
  public struct ExportEnd: Sendable, Hashable, Codable {
    /// What the position was found from.
    public enum Source: String, Sendable, Hashable, Codable {
      /// The newest entry, and the objects after it.
      case manifest
      /// Only the object names.
      case listing
      /// Nothing: the export has no object and no entry.
      case nothing
    }
    /// What the position was found from.
    public var source: Source
    /// The offset where the cursor continues: after the last record that is certainly exported.
    public var committedEnd: UInt64
    /// Complete objects without an entry, oldest first. ``ManifestReader/recordPending(_:)`` writes their entries.
    public var pending: [String] = []
    /// Inconsistencies that an operator should check before the cursor is created.
    public var doubts: [String] = []
  }

  /// The parameters of ``ExportVerifier/init(store:layout:logID:cursor:)``.
  public init(
    store: any ExportStore, layout: ExportLayout = ExportLayout(), logID: String, cursor: String
  ) throws(SinkError) {
    verifier = try ExportVerifier(store: store, layout: layout, logID: logID, cursor: cursor)
    template = try ObjectKeyTemplate(layout.keyTemplate)
    log = logID
    self.cursor = cursor
    folder = Manifest.folder(template, logID: logID, cursor: cursor)
  }

  /// Finds the offset where the cursor continues, also after batches without rows. An object is created complete, so
  /// one that follows the newest entry counts as delivered, even if the process ended before it wrote the entry.
  ///
  /// Reads the newest entry and the names of all objects. It does not check older entries; ``ExportVerifier`` does.
  /// Complexity: one request per 1,000 names, and up to three more.
  ///
  /// - Throws: ``ExportStoreError`` if a request to the store fails.
  public func committedEnd() async throws(ExportStoreError) -> ExportEnd {
    let objects = try await verifier.listObjects()
    var ranges: [(range: Range<UInt64>, key: String)] = objects.compactMap { object in
      template.range(of: object.key, cursor: cursor, suffixes: ExportVerifier.suffixes).map {
        (range: $0, key: object.key)
      }
    }
    ranges.sort { $0.range.lowerBound < $1.range.lowerBound }
    let names = try await verifier.store.list(prefix: folder)
    guard let newest = names.last else { return Self.end(byNames: ranges) }
    var exportEnd = ExportEnd(source: .manifest, committedEnd: 0)
    guard let bytes = try await verifier.store.read(newest.key, limit: Manifest.maxEntryBytes),
      let entry = ManifestEntry.parse(bytes)?.entry, Manifest.end(of: newest.key, in: folder) == entry.last + 1,
      entry.log == log, entry.cursor == cursor, entry.hasOwnID
    else {
      var byNames = Self.end(byNames: ranges)
      byNames.doubts.insert(
        "the newest manifest entry, \(newest.key), is damaged; only object names were used", at: 0)
      return byNames
    }
    exportEnd.committedEnd = entry.last + 1
    if entry.hasObject, try await verifier.store.facts(of: entry.key)?.size != entry.stored {
      exportEnd.doubts.append("the newest recorded object, \(entry.key), is missing or was changed")
    }
    for (range, key) in ranges where range.lowerBound >= exportEnd.committedEnd {
      guard range.lowerBound == exportEnd.committedEnd else {
        exportEnd.doubts.append("\(key) starts at \(range.lowerBound), after a gap")
        break
      }
      exportEnd.pending.append(key)
      exportEnd.committedEnd = range.upperBound
    }
    return exportEnd
  }

  /// The end of the contiguous records from the first object on.
  private static func end(byNames ranges: [(range: Range<UInt64>, key: String)]) -> ExportEnd {
    guard let first = ranges.first else { return ExportEnd(source: .nothing, committedEnd: 0) }
    var exportEnd = ExportEnd(source: .listing, committedEnd: first.range.lowerBound)
    if first.range.lowerBound > 0 {
      exportEnd.doubts.append("the first object, \(first.key), starts at \(first.range.lowerBound)")
    }
    for (range, key) in ranges {
      guard range.lowerBound == exportEnd.committedEnd else {
        let word = range.lowerBound < exportEnd.committedEnd ? "overlaps the previous object" : "starts after a gap"
        exportEnd.doubts.append("\(key) \(word)")
        return exportEnd
      }
      exportEnd.committedEnd = range.upperBound
    }
    return exportEnd
  }

  /// Writes the entries of the objects in ``ExportEnd/pending``, so that the chain has no hole where the cursor
  /// continues. Reads each of these objects completely into memory.
  ///
  /// - Throws: ``ExportStoreError`` if an object cannot be read, or does not match its name and metadata.
  public func recordPending(_ exportEnd: ExportEnd) async throws(ExportStoreError) {
    let writer = ManifestWriter(store: verifier.store)
    for key in exportEnd.pending {
      guard let range = template.range(of: key, cursor: cursor, suffixes: ExportVerifier.suffixes),
        let facts = try await verifier.store.facts(of: key),
        let bytes = try await verifier.store.read(key, limit: facts.size)
      else { throw ExportStoreError("\(key) does not exist any more", isTemporary: false) }
      let previous = try await writer.previous(of: range.lowerBound, in: folder)
      let entry = try ManifestEntry(
        of: StoredExport(key: key, range: range, bytes: bytes, metadata: facts.metadata), log: log, cursor: cursor,
        previous: previous)
      if let outcome = try await writer.create(entry, in: folder) {
        throw ExportStoreError("the entry for \(key) cannot be written: \(outcome)", isTemporary: false)
      }
    }
  }
}

/// An object that has no entry, read from the store.
private struct StoredExport {
  let key: String
  let range: Range<UInt64>
  let bytes: [UInt8]
  let metadata: [String: String]?
}

extension ManifestEntry {
  /// Creates the entry of an existing object from its content and metadata.
  fileprivate init(
    of object: StoredExport, log: String, cursor: String, previous: String
  ) throws(ExportStoreError) {
    let (key, range, bytes, metadata) = (object.key, object.range, object.bytes, object.metadata)
    let compression: ExportCompression = key.hasSuffix(".gz") ? .gzip() : key.hasSuffix(".zst") ? .zstd() : .none
    // Without metadata the length of compressed content is unknown.
    guard let length = metadata?["length"].flatMap({ Int($0) }) ?? (compression == .none ? bytes.count : nil),
      let content = compression.decompress(bytes, count: length)
    else {
      throw ExportStoreError(
        "\(key) cannot be decompressed, or has no length in its metadata; remove it to export its records again",
        isTemporary: false)
    }
    let kind: ContentDigest.Kind = metadata?["crc32c"] == nil ? .sha256 : .crc32c
    let digest = ContentDigest(kind, of: content)
    let object = StoredObject(of: bytes)
    let rows = content.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    if let expected = metadata?[kind.rawValue], expected != digest.text {
      throw ExportStoreError("the content of \(key) does not match its metadata", isTemporary: false)
    }
    if let expected = metadata?["stored-sha256"], expected != object.text {
      throw ExportStoreError("the bytes of \(key) do not match its metadata", isTemporary: false)
    }
    self.log = log
    self.cursor = cursor
    id =
      DeliveryID(
        logID: log, cursor: cursor, first: Offset(range.lowerBound), end: Offset(range.upperBound),
        contentDigest: digest.bytes(length: length)
      ).rawValue
    self.key = key
    first = range.lowerBound
    last = range.upperBound - 1
    count = rows
    self.bytes = length
    stored = object.size
    storedSHA256 = object.text
    closed = metadata?["closed"] ?? ""
    self.previous = previous
    self.digest = digest
  }
}
