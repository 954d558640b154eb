/// The size of a range of records, from the indexes.
public struct RangeEstimate: Hashable, Sendable {
  /// The measured offsets.
  public let range: Range<Offset>
  /// Records of the range that the log holds.
  public package(set) var records = 0
  /// Records of the range that are lost or trimmed, as far as the indexes show.
  public var missing: Int { range.upperBound - range.lowerBound - records }
  /// The stored, compressed bytes of the blocks, headers included. A block that lies partly within the range counts by
  /// the share of its records.
  public package(set) var storedBytes = 0
  /// The records' bytes, estimated from ``storedBytes`` and from up to three decompressed blocks.
  public package(set) var recordBytes = 0
  /// When the log received the first of the records; nil when there is none.
  public package(set) var firstAppendTime: Timestamp?

  package init(range: Range<Offset>) { self.range = range }
}

extension LogView {
  /// Measures a range from block headers and indexes, and at most three blocks.
  ///
  /// It does not change the caches: it reads the indexes of segments that no reader uses and discards them, and it
  /// discards the sampled blocks. O(blocks of the range); one segment's index in memory at a time. Blocks the calling
  /// thread.
  func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate {
    var extent = RangeEstimate(range: range)
    guard !range.isEmpty else { return extent }
    var sample = BlockSample()
    let set = set
    let last = set.segments.count - 1
    for (index, segment) in set.segments.enumerated() {
      let end = set.end(ofSegmentAt: index)
      guard segment.name.baseOffset < range.upperBound, end > range.lowerBound else { continue }
      try measure(index == last ? segment : segment.copy(), upTo: end, &extent, &sample)
    }
    extent.recordBytes = sample.estimate(ofStored: extent.storedBytes)
    return extent
  }

  private func measure(
    _ segment: Segment, upTo end: Offset, _ extent: inout RangeEstimate, _ sample: inout BlockSample
  ) throws(LogError) {
    let entries: [BlockEntry]
    do throws(LogError) {
      entries = try segment.entries(upTo: end)
    } catch {
      // Removed or damaged: its records count as missing.
      guard error.code == .damaged || error.isAboutMissingFile else { throw error }
      return
    }
    for entry in entries {
      let low = max(entry.baseOffset, extent.range.lowerBound)
      let high = min(entry.endOffset, extent.range.upperBound)
      guard low < high else { continue }
      extent.records += high - low
      extent.storedBytes += entry.length * (high - low) / entry.count
      if extent.firstAppendTime == nil { extent.firstAppendTime = try appendTime(of: low, segment, entry) }
      sample.take(entry, of: segment)
    }
  }

  /// When the record at `offset` was appended; nil when the log does not hold it. It reads a block only where the block
  /// holds records of several times, and keeps none. Blocks the calling thread.
  package func appendTime(at offset: Offset) throws(LogError) -> Timestamp? {
    guard case .block(let segment, let entry) = try locate(offset) else { return nil }
    return try appendTime(of: offset, segment, entry)
  }

  private func appendTime(
    of offset: Offset, _ segment: Segment, _ entry: BlockEntry
  ) throws(LogError) -> Timestamp {
    guard entry.hasAppendTimes, offset > entry.baseOffset,
      let block = try? segment.decode(entry, with: BlockReader())
    else { return entry.appendTime }
    return block.appendTimes.time(of: offset - block.baseOffset)
  }

  /// The bytes of the segments' files from the one that holds `offset` to the newest, including zeros filled ahead. The
  /// hard cap of retention measures this. O(segments from there on), and one read of each file size that is not yet
  /// known. Blocks the calling thread.
  package func keptBytes(from offset: Offset) throws(LogError) -> Int {
    let set = set
    var bytes = 0
    for segment in set.segments[(set.index(holding: offset) ?? 0)...] {
      bytes += try fileBytes(of: segment, in: set)
    }
    return bytes
  }

  /// The size of a segment's file; zero when it is gone. The writer reads the size of a finished segment once: only
  /// sealing changes it, and that uses ``replaceFile(of:_:)``. Another process gets no notice of sealing, so there each
  /// call reads the size. Blocks the calling thread.
  package func fileBytes(of segment: Segment, in set: SegmentSet) throws(LogError) -> Int {
    try segment.fileBytes(isSettled: follow == nil && segment !== set.segments.last)
  }
}

extension Segment {
  /// The same file, with an empty state.
  func copy() -> Segment { Segment(fileSystem, name, path: path) }
}

/// Up to three blocks, to learn how well records compress: the first, and two later ones in growing steps.
private struct BlockSample {
  private var stored = 0
  private var raw = 0
  private var seen = 0
  private var next = 0

  mutating func take(_ entry: BlockEntry, of segment: Segment) {
    defer { seen += 1 }
    guard seen == next, next <= 128 else { return }
    next = next == 0 ? 8 : next * 16
    guard let block = try? segment.decode(entry, with: BlockReader()) else { return }
    stored += entry.length
    raw += block.byteCount(of: 0..<block.count)
  }

  func estimate(ofStored bytes: Int) -> Int {
    stored == 0 ? 0 : Int(Double(bytes) * Double(raw) / Double(stored))
  }
}
