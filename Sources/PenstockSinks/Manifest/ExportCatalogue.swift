/// The names, sizes and entries that a verification has read, and the checks on them. Does no I/O.
struct ExportCatalogue {
  /// An entry as stored.
  struct Line {
    var key: String
    /// From the key.
    var end: UInt64
    /// Nil if it is not a valid entry.
    var parsed: (entry: ManifestEntry, hash: String)?
  }

  let template: ObjectKeyTemplate
  let suffixes: [String]
  let log: String
  let cursor: String
  /// Sorted by end.
  var lines: [Line]
  var objects: [ExportObject]

  typealias Finding = ExportReport.Finding

  /// The valid entries of this export, sorted by their records.
  var entries: [ManifestEntry] {
    lines.compactMap(\.parsed?.entry).sorted { ($0.first, $0.last) < ($1.first, $1.last) }
  }

  func check(_ report: inout ExportReport) {
    report.hasManifest = !lines.isEmpty
    report.findings += chainFindings()
    let sizes = Dictionary(objects.map { ($0.key, $0.size) }, uniquingKeysWith: { first, _ in first })
    let entries = entries
    report.findings += entries.flatMap { objectFindings($0, sizes) }
    var ranges = entries.map { (range: $0.first..<$0.last + 1, key: $0.subject) }
    let (pending, extra) = unrecorded(entries)
    report.findings += extra
    if let pending {
      ranges.append(pending)
      if report.hasManifest { report.pending = pending.key }
    }
    if lines.isEmpty { ranges = named }
    report.findings += rangeFindings(ranges)
    report.first = ranges.map(\.range.lowerBound).min()
    report.end = ranges.map(\.range.upperBound).max()
    report.objects = objects.count
    report.bytes = objects.reduce(0) { $0 + $1.size }
    report.rows = entries.reduce(0) { $0 + $1.count }
    report.batchesWithoutRows = entries.count { !$0.hasObject }
  }

  /// The objects with names of this export, sorted by their records.
  private var named: [(range: Range<UInt64>, key: String)] {
    objects.compactMap { object in
      template.range(of: object.key, cursor: cursor, suffixes: suffixes).map { (range: $0, key: object.key) }
    }
    .sorted { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
  }

  // MARK: The chain

  private func chainFindings() -> [Finding] {
    var hashes: [UInt64: String] = [:]
    var unreadable: Set<UInt64> = []
    for line in lines {
      if let parsed = line.parsed { hashes[line.end] = parsed.hash } else { unreadable.insert(line.end) }
    }
    let begins = lines.compactMap(\.parsed?.entry.first).min()
    return lines.flatMap { line -> [Finding] in
      guard let entry = line.parsed?.entry else {
        return [Finding(.unreadableEntry, key: line.key, nil, "is not a manifest entry, or was changed")]
      }
      let range = entry.first..<entry.last + 1
      var findings: [Finding] = []
      if let problem = contradiction(in: entry, named: line.end) {
        findings.append(Finding(.editedEntry, key: line.key, range, problem))
      }
      switch hashes[entry.first] {
      case let hash? where hash != entry.previous:
        findings.append(
          Finding(
            .editedEntry, key: line.key, range,
            "does not follow from the entry that ends at \(entry.first): one of the two was changed"))
      case nil where entry.previous != ManifestEntry.noPrevious && !unreadable.contains(entry.first):
        let detail = "the entry that ends at \(entry.first) existed when the next one was written, and is missing now"
        findings.append(Finding(.missingEntry, key: line.key, begins.map { $0..<max($0, entry.first) }, detail))
      default: break
      }
      return findings
    }
  }

  /// How an entry contradicts itself or its name; nil if it does not.
  private func contradiction(in entry: ManifestEntry, named end: UInt64) -> String? {
    if entry.last + 1 != end { return "has the name of end \(end), but its range ends at \(entry.last + 1)" }
    if entry.log != log || entry.cursor != cursor { return "belongs to another log or cursor" }
    if !entry.hasOwnID { return "its id does not match its range and hash" }
    if entry.hasObject != (entry.count > 0) || !entry.hasObject && (entry.bytes, entry.stored) != (0, 0) {
      return "has \(entry.count) rows and \(entry.stored) bytes in \(entry.hasObject ? "an" : "no") object"
    }
    if let range = template.range(of: entry.key, cursor: cursor, suffixes: suffixes), range != entry.first..<end {
      return "names an object of other records, \(entry.key)"
    }
    return nil
  }

  // MARK: The objects

  private func objectFindings(_ entry: ManifestEntry, _ sizes: [String: Int]) -> [Finding] {
    guard entry.hasObject else { return [] }
    let range = entry.first..<entry.last + 1
    guard let size = sizes[entry.key] else {
      return [Finding(.missingObject, key: entry.key, range, "is in the manifest, but does not exist")]
    }
    guard size != entry.stored else { return [] }
    let word = size < entry.stored ? "is truncated" : "has grown"
    return [Finding(.alteredObject, key: entry.key, range, "\(word): \(size) bytes instead of \(entry.stored)")]
  }

  /// Objects without an entry. The one that follows the newest entry is an unfinished delivery; any other is a finding.
  private func unrecorded(
    _ entries: [ManifestEntry]
  ) -> (pending: (range: Range<UInt64>, key: String)?, findings: [Finding]) {
    let recorded = Set(entries.map(\.key))
    let ranges = Dictionary(named.map { ($0.key, $0.range) }, uniquingKeysWith: { first, _ in first })
    let end = lines.last.map(\.end)
    var pending: (range: Range<UInt64>, key: String)?
    var findings: [Finding] = []
    for object in objects where !recorded.contains(object.key) {
      guard let range = ranges[object.key] else {
        findings.append(Finding(.foreignObject, key: object.key, nil, "is not an object of this export"))
        continue
      }
      if lines.isEmpty { continue }
      if range.lowerBound == end, pending == nil {
        pending = (range, object.key)
      } else if let other = entries.first(where: { $0.first < range.upperBound && range.lowerBound <= $0.last }) {
        let word = other.hasObject ? "has records that \(other.key) has" : "is in the range of \(other.subject)"
        findings.append(Finding(.overlap, key: object.key, range, "is not in the manifest and \(word)"))
      } else {
        findings.append(Finding(.missingEntry, key: object.key, range, "is not in the manifest"))
      }
    }
    return (pending, findings)
  }

  // MARK: The ranges

  private func rangeFindings(_ ranges: [(range: Range<UInt64>, key: String)]) -> [Finding] {
    var findings: [Finding] = []
    var before: (range: Range<UInt64>, key: String)?
    let neverThere = Set(entries.filter { $0.previous == ManifestEntry.noPrevious }.map(\.first))
    for next in ranges.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      defer { if next.range.upperBound > before?.range.upperBound ?? 0 { before = next } }
      guard let before else { continue }
      let (end, begin) = (before.range.upperBound, next.range.lowerBound)
      if begin > end {
        // A deleted object leaves an entry that refers to its predecessor. This entry had no predecessor when it was
        // written.
        let why =
          neverThere.contains(begin)
          ? ", and were in none when the next one was written: dead letters, records lost to retention, or a moved "
            + "cursor"
          : ""
        findings.append(
          Finding(
            .gap, end..<begin,
            "records \(end) to \(begin - 1) are in no object, between \(before.key) and \(next.key)\(why)"))
      } else if begin < end {
        let common = begin..<min(end, next.range.upperBound)
        findings.append(Finding(.overlap, key: next.key, common, "has records that \(before.key) has"))
      }
    }
    return findings
  }
}
