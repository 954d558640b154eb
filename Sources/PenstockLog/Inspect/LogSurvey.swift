/// A summary of a log of any size, within milliseconds. It reads file names and sizes, a few segment headers, and the
/// block headers of the newest segment. It takes no lock and writes nothing. It marks what it does not know exactly.
/// Every method blocks the calling thread.
package struct LogSurvey: Sendable {
  package struct SegmentExtent: Hashable, Sendable {
    package var name: SegmentName
    /// One past its last record.
    package var end: Offset
    package var fileBytes: UInt64
    package var records: Int { end - name.baseOffset }
  }

  /// How much sealing has saved, in the sampled segments.
  package struct Sealing: Hashable, Sendable {
    /// Of all but the newest segment, at most ``LogSurvey/sampled`` are sampled, evenly spread.
    package var looked = 0
    package var sealed = 0
    /// Of the sealed segments' files.
    package var bytesBefore: UInt64 = 0
    package var bytesAfter: UInt64 = 0

    init() {}
  }

  /// The records between an offset and the log's end.
  package struct Distance: Hashable, Sendable {
    var records = 0
    /// As stored, from the block that holds the offset.
    package var bytes: UInt64 = 0
    /// When the record at the offset was appended; nil at the end.
    package var since: Timestamp?
    /// False when a crash left the offset's segment without an index. Then `bytes` is in proportion to the records.
    /// `since` is the time when the segment was begun, which is no later than the record's.
    package var isExact = true

    init() {}
  }

  static let sampled = 64

  package let inspector: LogInspector
  package let segments: [SegmentExtent]
  /// The blocks of the newest segment.
  let newest: [BlockEntry]
  package let sealing: Sealing
  /// When the oldest segment was begun: its first record is no older, and hardly younger.
  package let oldest: Timestamp?
  private let files: [Segment]

  /// Throws `.io` and `.damaged`. O(segments + blocks of the newest).
  package init(_ inspector: LogInspector) throws(LogError) {
    self.inspector = inspector
    files = inspector.segments.map {
      Segment(inspector.environment.fileSystem, $0, path: inspector.path(of: $0), logID: inspector.meta.logID)
    }
    var segments: [SegmentExtent] = []
    let samples = Self.samples(files.count - 1)
    let looked = Set(samples)
    for (index, name) in inspector.segments.enumerated() {
      // A segment that retention removes meanwhile takes no space.
      let bytes =
        try Self.ifThere { () throws(LogError) in
          // The disk reads those headers while the other sizes are read, instead of one after the other later.
          try inspector.size(of: name, beforeItsHeader: looked.contains(index))
        } ?? 0
      segments.append(SegmentExtent(name: name, end: inspector.limit(ofSegmentAt: index), fileBytes: bytes))
    }
    self.segments = segments
    newest = try files.last?.entries(upTo: inspector.end) ?? []
    oldest = try files.first.flatMap { (file) throws(LogError) in try Self.header(of: file)?.begunAt }
    sealing = try Self.sample(samples, files, segments)
  }

  package var first: Offset { segments.first?.name.baseOffset ?? .zero }
  package var end: Offset { inspector.end }
  package var fileBytes: UInt64 { segments.reduce(0) { $0 + $1.fileBytes } }
  /// Without the zeros filled ahead in the newest segment.
  package var usedBytes: UInt64 {
    guard let last = segments.last else { return 0 }
    return fileBytes - last.fileBytes + min(last.fileBytes, newest.last?.endPosition ?? UInt64(SegmentHeader.size))
  }
  /// When the newest record was appended, to within its block.
  package var newestAppend: Timestamp? { newest.last?.appendTime }

  /// How far `offset` is from the end. O(log segments + blocks of one segment with an index), one or two reads.
  package func distance(from offset: Offset) throws(LogError) -> Distance {
    var distance = Distance()
    let place = max(offset, first)
    guard place < end, let index = segments.lastIndex(where: { $0.name.baseOffset <= place }) else { return distance }
    let (segment, later) = (segments[index], segments[(index + 1)...])
    distance.records = end - place
    distance.bytes = later.dropLast().reduce(0) { $0 + $1.fileBytes }
    if !later.isEmpty { distance.bytes += usedBytes - (fileBytes - (segments.last?.fileBytes ?? 0)) }
    if let entries = try entries(at: index) {
      let ahead = entries.drop { $0.endOffset <= place }
      distance.bytes += ahead.reduce(0) { $0 + UInt64($1.length) }
      distance.since = ahead.first?.appendTime
    } else {
      distance.isExact = false
      let share = Double(segment.end - place) / Double(max(1, segment.records))
      distance.bytes += UInt64(Double(segment.fileBytes) * share)
      distance.since = try Self.header(of: files[index])?.begunAt
    }
    return distance
  }

  /// The index of a segment; nil where it has none, so that its blocks would have to be walked.
  private func entries(at index: Int) throws(LogError) -> [BlockEntry]? {
    if index == segments.count - 1 { return newest }
    guard try Self.header(of: files[index]) != nil else { return nil }
    defer { files[index].release() }
    return try Self.ifThere { () throws(LogError) in try files[index].index() } ?? nil
  }

  /// What an opening would find of the log's producers. It reads the newest snapshot and the trailers of the blocks
  /// after it.
  package func producers() throws(LogError) -> (table: ProducerTable, report: RecoveryReport.Producers) {
    let (snapshot, damaged) = try ProducerStore.read(
      inspector.environment.fileSystem, inspector.paths, logID: inspector.meta.logID)
    var found = ProducerReplay.rebuild(
      snapshot, files, end: end, capacity: LogConfiguration.producersRange.upperBound)
    found.report.damagedSnapshots = damaged
    return found
  }

  /// The indices of the sampled ones among `count` segments.
  private static func samples(_ count: Int) -> [Int] {
    let looked = min(count, sampled)
    return (0..<max(0, looked)).map { $0 * count / looked }
  }

  private static func sample(
    _ samples: [Int], _ files: [Segment], _ segments: [SegmentExtent]
  ) throws(LogError) -> Sealing {
    var sealing = Sealing()
    for index in samples {
      guard let header = try header(of: files[index]) else { continue }
      sealing.looked += 1
      guard let seal = header.seal else { continue }
      sealing.sealed += 1
      sealing.bytesBefore += seal.originalBytes
      sealing.bytesAfter += segments[index].fileBytes
    }
    return sealing
  }

  /// Nil for a segment that retention has removed, or whose header is damaged: `penstock verify` reports that.
  private static func header(of segment: Segment) throws(LogError) -> SegmentHeader? {
    // Not kept open: a long log has more segments than a process may have open files.
    defer { segment.release() }
    do throws(LogError) {
      return try ifThere { () throws(LogError) in try segment.open().1 }
    } catch {
      guard error.code == .damaged else { throw error }
      return nil
    }
  }

  private static func ifThere<Result>(_ read: () throws(LogError) -> Result) throws(LogError) -> Result? {
    do throws(LogError) {
      return try read()
    } catch {
      guard error.isAboutMissingFile else { throw error }
      return nil
    }
  }
}
