/// A block of a segment, read, validated and decoded, with everything that a sealed segment must keep.
struct ReadBlock: Sendable {
  let header: BlockHeader
  let block: DecodedBlock
  let sections: TrailerSections

  init(_ header: BlockHeader, _ block: DecodedBlock, _ sections: TrailerSections) {
    self.header = header
    self.block = block
    self.sections = sections
  }

  /// Whether the trailer's checksum of the payload is right. Without one, there is nothing to be wrong.
  var hasRightContentChecksum: Bool {
    guard let bytes = sections[BlockFormat.contentChecksumSection] else { return true }
    let checksum = block.payload.withUnsafeBytes { Checksum.of($0) }
    return bytes.count == 4 && bytes.withUnsafeBytes { $0.get(UInt32.self, at: 0) } == checksum
  }
}

/// Blocks of an original that become one block of a sealed segment. A pure value.
///
/// Invariant: the blocks follow each other without a gap, and their carried trailer sections can be joined. A block is
/// never split: one append may be larger than the limit, and is then a block alone.
struct SealGroup: Sendable {
  private(set) var blocks: [ReadBlock]
  private let limit: Int
  private(set) var rawBytes: Int
  private let canGrow: Bool

  /// - Parameter limit: The most raw bytes of a joined block.
  init(_ first: ReadBlock, limit: Int) {
    blocks = [first]
    rawBytes = first.header.rawLength
    self.limit = limit
    canGrow = first.sections.canBeJoined(recordCount: first.block.count)
  }

  var baseOffset: Offset { blocks[0].block.baseOffset }
  var endOffset: Offset { blocks[blocks.count - 1].block.endOffset }
  var recordCount: Int { endOffset - baseOffset }

  /// Adds the next block, or returns false where it must begin a group of its own.
  mutating func take(_ next: ReadBlock) -> Bool {
    precondition(next.block.baseOffset == endOffset)
    guard canGrow, rawBytes + next.header.rawLength <= limit,
      next.sections.canBeJoined(recordCount: next.block.count)
    else { return false }
    blocks.append(next)
    rawBytes += next.header.rawLength
    return true
  }

  /// The records, each with its line feed.
  ///
  /// - Parameter buffer: Where blocks are joined; a single block is passed without a copy.
  func withPayload<Result, Failure: Error>(
    joinedIn buffer: inout [UInt8], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    if blocks.count == 1 { return try blocks[0].block.payload.withUnsafeBytes(body) }
    buffer.removeAll(keepingCapacity: true)
    buffer.reserveCapacity(rawBytes)
    for block in blocks { block.block.payload.withUnsafeBytes { buffer.append(contentsOf: $0) } }
    return try buffer.withUnsafeBufferPointer { (bytes) throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
  }

  var containsLineFeed: Bool { blocks.contains { $0.header.flags & BlockFormat.lengthsFlag != 0 } }

  var eventTimes: ClosedRange<Int64>? {
    blocks.lazy.compactMap(\.header.eventTimes).reduce(nil) { joined, times in
      joined.map { min($0.lowerBound, times.lowerBound)...max($0.upperBound, times.upperBound) } ?? times
    }
  }

  var knowsEventTimes: Bool { blocks.allSatisfy { $0.header.flags & BlockFormat.eventTimesKnownFlag != 0 } }

  var appendTimes: AppendTimes {
    var times = AppendTimes(blocks[0].block.appendTime)
    for block in blocks {
      let first = block.block.baseOffset - baseOffset
      if first > 0 { times.step(at: first, block.block.appendTime) }
      for step in block.block.appendTimes.steps { times.step(at: first + step.index, step.time) }
    }
    return times
  }

  /// All sections of the joined block's trailer.
  var sections: TrailerSections {
    var sections = TrailerSections()
    if containsLineFeed {
      var lengths: [UInt8] = []
      lengths.reserveCapacity(recordCount * 4)
      for block in blocks {
        var start: UInt32 = 0
        for end in block.block.ends {
          lengths.append(littleEndian: end - start)
          start = end + 1
        }
      }
      sections.append(kind: BlockFormat.lengthsSection, lengths)
    }
    if !appendTimes.steps.isEmpty { sections.append(kind: BlockFormat.appendTimesSection, appendTimes.encoded()) }
    let carried = TrailerSections.joined(blocks.map { ($0.sections, $0.block.count) })
    for section in carried?.sections ?? [] { sections.append(kind: section.kind, section.bytes) }
    if let contentChecksum {
      var bytes: [UInt8] = []
      bytes.append(littleEndian: contentChecksum)
      sections.append(kind: BlockFormat.contentChecksumSection, bytes)
    }
    return sections
  }

  /// CRC-32C of the payload; nil where lines are not records. Taken from the records, because blocks of earlier
  /// versions do not have it.
  private var contentChecksum: UInt32? {
    guard !containsLineFeed else { return nil }
    var checksum = Checksum()
    for block in blocks { block.block.payload.withUnsafeBytes { checksum.update($0) } }
    return checksum.value
  }
}

/// Walks a finished segment: every block read, validated and decoded, in order.
struct SegmentBlocks {
  let scanner: SegmentScanner
  /// After the last returned block.
  private(set) var cursor: SegmentScanner.ScanPosition
  /// Where the records must end.
  let limit: Offset
  /// Keeps the scanner's file open.
  private let file: OpenFile
  private let path: String
  private let reader = BlockReader()

  init(_ file: OpenFile, _ header: SegmentHeader, limit: Offset, path: String) {
    self.file = file
    scanner = SegmentScanner(file.fileSystem, file.handle, header)
    self.limit = limit
    self.path = path
    cursor = SegmentScanner.ScanPosition(startOf: scanner.header)
  }

  /// The next block; nil at the limit. Throws `.damaged` for the first flaw. Blocks the calling thread.
  mutating func next() throws(LogError) -> ReadBlock? {
    guard cursor.offset < limit else { return nil }
    let found: SegmentScanner.Result
    var bytes: [UInt8] = []
    do throws(FileSystemError) {
      found = try scanner.look(at: cursor, proving: false)
      if case .block(let header, _) = found {
        bytes = try scanner.fileSystem.readAll(scanner.file, count: header.totalLength, at: header.position)
      }
    } catch {
      throw LogError(error, while: "read a block")
    }
    switch found {
    case .block(let header, let next):
      let block = try decode(header, bytes)
      cursor = next
      return block
    case .absent: throw damaged("no block where one must be")
    case .flawed(let reason): throw damaged(reason)
    case .future(let version): throw damaged("a block of format version \(version)")
    }
  }

  private func damaged(_ reason: String) -> LogError {
    LogError(
      .damaged, "not a valid block: \(reason)",
      location: .init(path: path, position: cursor.position, offset: cursor.offset))
  }

  private func decode(_ header: BlockHeader, _ bytes: [UInt8]) throws(LogError) -> ReadBlock {
    guard bytes.count == header.totalLength else { throw damaged("cut short") }
    var flaw: BlockFlaw?
    let seed = scanner.seed
    let block = bytes.withUnsafeBytes { bytes -> ReadBlock? in
      do throws(BlockFlaw) {
        let block = try BlockDecoder.decode(header, bytes, seed: seed, with: reader)
        let trailer = bytes[BlockFormat.headerSize..<(BlockFormat.headerSize + header.trailerLength)]
        return ReadBlock(header, block, try TrailerSections(parsing: UnsafeRawBufferPointer(rebasing: trailer)))
      } catch {
        flaw = error
        return nil
      }
    }
    guard let block else { throw damaged(flaw?.reason ?? "unknown") }
    return block
  }
}
