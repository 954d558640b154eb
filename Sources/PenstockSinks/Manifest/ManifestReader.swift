public import PenstockDelivery
import PenstockLog
import PenstockSupport

/// Finds out from an export how far its cursor was, when the cursor's own file is lost.
public struct ManifestReader: Sendable {
  private let verifier: ExportVerifier
  private let template: ObjectKeyTemplate
  private let log: String
  private let cursor: String
  private let place: String

  /// What an export says of its cursor.
  public struct Standing: Sendable, Hashable, Codable {
    public enum Source: String, Sendable, Hashable, Codable {
      /// The newest entry, whose object, if it has one, is there.
      case manifest
      /// The objects' names alone.
      case listing
      /// There is nothing.
      case nothing
    }
    public var source: Source
    /// The offset at which the cursor goes on: one past the last record that is surely in an object.
    public var committedEnd: UInt64
    /// Objects that are there whole and have no entry yet, oldest first; ``ManifestReader/recordPending(_:)`` writes them.
    public var pending: [String] = []
    /// Why a person should look before a cursor is set there.
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
    place = Manifest.place(template, logID: logID, cursor: cursor)
  }

  /// Where the cursor goes on, also behind records of which none passed the filter. An object is created whole, so one that follows the newest entry counts as delivered, though
  /// the process ended before its entry was written.
  ///
  /// Looks at the newest entry and at the names of all objects; whether all that came before is right is a question for
  /// ``ExportVerifier``. Complexity: one request for 1,000 names, and three.
  public func committedEnd() async throws(ExportStoreError) -> Standing {
    let objects = try await verifier.listObjects()
    var ranges: [(range: Range<UInt64>, key: String)] = objects.compactMap { object in
      template.range(of: object.key, cursor: cursor, suffixes: ExportVerifier.suffixes).map {
        (range: $0, key: object.key)
      }
    }
    ranges.sort { $0.range.lowerBound < $1.range.lowerBound }
    let names = try await verifier.store.list(prefix: place)
    guard let newest = names.last else { return Self.standing(byNames: ranges) }
    var standing = Standing(source: .manifest, committedEnd: 0)
    guard let bytes = try await verifier.store.read(newest.key, limit: Manifest.maxEntryBytes),
      let entry = ManifestEntry.parse(bytes)?.entry, Manifest.end(of: newest.key, in: place) == entry.last + 1,
      entry.log == log, entry.cursor == cursor, entry.hasOwnID
    else {
      var byNames = Self.standing(byNames: ranges)
      byNames.doubts.insert(
        "the newest entry of the manifest, \(newest.key), is damaged; names alone were looked at", at: 0)
      return byNames
    }
    standing.committedEnd = entry.last + 1
    if entry.hasObject, try await verifier.store.facts(of: entry.key)?.size != entry.stored {
      standing.doubts.append("the newest recorded object, \(entry.key), is not there as it was written")
    }
    for (range, key) in ranges where range.lowerBound >= standing.committedEnd {
      guard range.lowerBound == standing.committedEnd else {
        standing.doubts.append("\(key) begins at \(range.lowerBound), behind a gap")
        break
      }
      standing.pending.append(key)
      standing.committedEnd = range.upperBound
    }
    return standing
  }

  /// The contiguous run of records from the first object on.
  private static func standing(byNames ranges: [(range: Range<UInt64>, key: String)]) -> Standing {
    guard let first = ranges.first else { return Standing(source: .nothing, committedEnd: 0) }
    var standing = Standing(source: .listing, committedEnd: first.range.lowerBound)
    if first.range.lowerBound > 0 {
      standing.doubts.append("the first object, \(first.key), begins at \(first.range.lowerBound)")
    }
    for (range, key) in ranges {
      guard range.lowerBound == standing.committedEnd else {
        let word = range.lowerBound < standing.committedEnd ? "overlaps the one before" : "begins behind a gap"
        standing.doubts.append("\(key) \(word)")
        return standing
      }
      standing.committedEnd = range.upperBound
    }
    return standing
  }

  /// Writes the entries of objects that have none, as ``Standing/pending`` lists them, so that the chain has no hole where the
  /// cursor goes on. What is written is read from the objects: every byte of each, in memory.
  ///
  /// - Throws: ``ExportStoreError`` when one cannot be read or is not what its name and metadata say.
  public func recordPending(_ standing: Standing) async throws(ExportStoreError) {
    let writer = ManifestWriter(store: verifier.store)
    for key in standing.pending {
      guard let range = template.range(of: key, cursor: cursor, suffixes: ExportVerifier.suffixes),
        let facts = try await verifier.store.facts(of: key),
        let bytes = try await verifier.store.read(key, limit: facts.size)
      else { throw ExportStoreError("\(key) is not there any more", isTemporary: false) }
      let previous = try await writer.previous(of: range.lowerBound, in: place)
      let entry = try ManifestEntry(
        recovering: key, range, bytes, metadata: facts.metadata, log: log, cursor: cursor, previous: previous)
      if let outcome = try await writer.create(entry, in: place) {
        throw ExportStoreError("the entry for \(key) cannot be written: \(outcome)", isTemporary: false)
      }
    }
  }
}

extension ManifestEntry {
  /// What can be said of an object that is there.
  fileprivate init(
    recovering key: String, _ range: Range<UInt64>, _ bytes: [UInt8], metadata: [String: String]?, log: String,
    cursor: String, previous: String
  ) throws(ExportStoreError) {
    let compression: ExportCompression = key.hasSuffix(".gz") ? .gzip() : key.hasSuffix(".zst") ? .zstd() : .none
    // Without metadata nobody says how long the content is, and a file need not say it either.
    guard let length = metadata?["length"].flatMap({ Int($0) }) ?? (compression == .none ? bytes.count : nil),
      let content = compression.decompress(bytes, count: length)
    else {
      throw ExportStoreError(
        "\(key) cannot be decompressed, or does not say to what; remove it, and its records are exported again",
        isTemporary: false)
    }
    let digest = Digest.sha256(content)
    let rows = content.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
    if let said = metadata?["sha256"], said != Digest.hex(digest) {
      throw ExportStoreError("\(key) does not hold what its metadata says", isTemporary: false)
    }
    self.log = log
    self.cursor = cursor
    id =
      DeliveryID(
        logID: log, cursor: cursor, first: Offset(range.lowerBound), end: Offset(range.upperBound),
        contentDigest: digest
      ).rawValue
    self.key = key
    first = range.lowerBound
    last = range.upperBound - 1
    count = rows
    self.bytes = length
    sha256 = Digest.hex(digest)
    stored = bytes.count
    closed = metadata?["closed"] ?? ""
    self.previous = previous
  }
}
