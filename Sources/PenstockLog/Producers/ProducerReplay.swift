/// Recovery of the producers: the newest snapshot, and the trailers of the blocks since. It reads headers and trailers
/// only, and decompresses nothing. Blocks the calling thread.
enum ProducerReplay {
  /// - Parameters:
  ///   - segments: In order, as recovery left them.
  ///   - end: One past the log's newest record.
  static func rebuild(
    _ snapshot: ProducerSnapshot?, _ segments: [Segment], end: Offset, capacity: Int
  ) -> (table: ProducerTable, report: RecoveryReport.Producers) {
    var table = start(snapshot, segments, capacity: capacity)
    var report = RecoveryReport.Producers(snapshot: snapshot?.end, readFrom: table.end)
    for (index, segment) in segments.enumerated() {
      let segmentEnd = index + 1 < segments.count ? segments[index + 1].name.baseOffset : end
      guard segmentEnd > table.end else { continue }
      if segment.name.baseOffset > table.end { table.lose(upTo: segment.name.baseOffset) }
      replay(segment, upTo: segmentEnd, into: &table)
      if index + 1 < segments.count { segment.release() }
    }
    table.lose(upTo: end)
    report.count = table.entries.count
    report.isComplete = table.isComplete
    report.uncertain = table.entries.filter(\.value.isUncertain).map(\.key).sorted()
    return (table, report)
  }

  /// Without a snapshot, recovery begins at the newest segment whose header says that there were no producers when it
  /// was begun. If there is none, it reads the whole log. If the log's beginning is gone too, some producers stay
  /// unknown.
  private static func start(_ snapshot: ProducerSnapshot?, _ segments: [Segment], capacity: Int) -> ProducerTable {
    if let snapshot { return snapshot.table(capacity: capacity) }
    for segment in segments.reversed() {
      if let header = try? segment.open().1, header.readOnlyFeatures & SegmentHeader.producersFeature == 0 {
        return ProducerTable(capacity: capacity, end: segment.name.baseOffset)
      }
    }
    return ProducerTable(capacity: capacity)
  }

  private static func replay(_ segment: Segment, upTo end: Offset, into table: inout ProducerTable) {
    // An unreadable segment leaves a hole; recovery notices it where the next block begins.
    guard let (file, header) = try? segment.open(), let entries = try? segment.entries(upTo: end) else { return }
    for entry in entries where entry.endOffset > table.end && entry.baseOffset < end {
      table.lose(upTo: entry.baseOffset)
      do throws(BlockFlaw) {
        if let block = try trailer(of: entry, file, seed: header.seed) {
          table.apply(block, at: entry.baseOffset, upTo: entry.endOffset)
        } else {
          table.skip(upTo: entry.endOffset)
        }
      } catch {
        table.lose(upTo: entry.endOffset)
      }
    }
  }

  /// The producers of a block; nil for none.
  static func trailer(of entry: BlockEntry, _ file: OpenFile, seed: UInt32) throws(BlockFlaw) -> ProducerTrailer? {
    // One page holds the header and nearly every trailer.
    var bytes = try read(file, min(BlockFormat.alignment, entry.length), at: entry.position)
    let header: BlockHeader
    do throws(BlockHeader.Flaw) {
      guard bytes.count >= BlockFormat.headerSize else { throw .absent }
      header = try bytes.withUnsafeBufferPointer { (bytes) throws(BlockHeader.Flaw) in
        try BlockHeader(decoding: UnsafeRawBufferPointer(bytes), seed: seed)
      }
    } catch {
      throw BlockFlaw("no block header")
    }
    guard header.trailerLength > 0 else { return nil }
    if header.frontLength > bytes.count { bytes = try read(file, header.frontLength, at: entry.position) }
    guard bytes.count >= header.frontLength else { throw BlockFlaw("cut short") }
    let content: [UInt8]? = try bytes.withUnsafeBufferPointer { (bytes) throws(BlockFlaw) in
      let front = UnsafeRawBufferPointer(
        rebasing: UnsafeRawBufferPointer(bytes)[BlockFormat.headerSize..<header.frontLength])
      guard Checksum.of(front, seed: seed) == header.trailerChecksum else { throw BlockFlaw("trailer checksum") }
      let trailer = UnsafeRawBufferPointer(rebasing: front[..<header.trailerLength])
      return BlockDecoder.section(ProducerTrailer.section, in: trailer).map { Array($0) }
    }
    guard let content else { return nil }
    return try ProducerTrailer(decoding: content, recordCount: header.recordCount)
  }

  private static func read(_ file: OpenFile, _ count: Int, at position: UInt64) throws(BlockFlaw) -> [UInt8] {
    do throws(FileSystemError) {
      return try file.fileSystem.readAll(file.handle, count: count, at: position)
    } catch {
      throw BlockFlaw("\(error)")
    }
  }
}
