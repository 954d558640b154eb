/// What a walk through one segment found.
package struct SegmentReport: Sendable {
  package let name: SegmentName
  package let path: String
  /// Nil when neither copy is intact.
  package var header: SegmentHeader?
  /// The file's length in bytes, zeros filled ahead included.
  package var fileBytes: UInt64 = 0
  /// Where the walk ended: behind the last block in bounds.
  package var usedBytes: UInt64 = 0
  package var blocks = 0
  package var records = 0
  /// Payloads, uncompressed, each record with its line feed.
  package var rawBytes = 0
  /// The zstd frames.
  package var storedBytes = 0
  /// One past the last record.
  package var end: Offset
  /// What the next segment's `previousChain` must be; nil when it cannot be demanded.
  package var chain: UInt64?
  /// Bytes behind the last block, up to the last that is not zero.
  package var bytesBehind: UInt64 = 0
  package var problems: [InspectionProblem] = []
  /// Whether an index stands behind the blocks, whole, and says what they say.
  package var isIndexed = false
  /// All blocks, to hold the index behind them against.
  fileprivate var entries: [BlockEntry] = []
  /// A later version wrote it, so that its problems may be none.
  package var isOfLaterVersion = false

  init(_ name: SegmentName, path: String) {
    self.name = name
    self.path = path
    end = name.baseOffset
  }

  mutating func complain(_ message: String, at position: UInt64? = nil, _ offsets: Range<Offset>? = nil) {
    problems.append(InspectionProblem(path: path, position: position, offsets: offsets, message: message))
  }
}

extension LogInspector {
  /// Walks one segment up to where its records should end. Never throws: what cannot be read is a problem found.
  ///
  /// - Parameters:
  ///   - previous: the finding of the segment before, which this one must continue; nil to ask for nothing.
  ///   - visit: called with every block and its bytes (its header's alone with ``InspectionDepth/headers``).
  package func inspect(
    segmentAt index: Int, _ depth: InspectionDepth, after previous: SegmentReport?,
    visit: (BlockHeader, [UInt8]) -> Void = { _, _ in }
  ) -> SegmentReport {
    let name = segments[index]
    var finding = SegmentReport(name, path: path(of: name))
    do throws(FileSystemError) {
      let fileSystem = environment.fileSystem
      let file = OpenFile(fileSystem, try fileSystem.open(finding.path, .readOnly))
      finding.fileBytes = try fileSystem.size(file.handle)
      readHeader(try HeaderCopies(of: file.handle, fileSystem), &finding)
      guard let header = finding.header else {
        finding.complain("without a header nothing can be read", at: 0, name.baseOffset..<limit(ofSegmentAt: index))
        return finding
      }
      compare(header, to: previous, isFirst: index == 0, &finding)
      // A page that cannot be read hides its block, not the blocks after it.
      let readable = SkippingFileSystem(fileSystem)
      let scanner = SegmentScanner(readable, file.handle, header)
      try walk(scanner, readable, limit: limit(ofSegmentAt: index), depth, &finding, visit)
      if depth >= .contents { try lookBehind(scanner, isLast: index == segments.count - 1, &finding) }
      finding.entries = []
    } catch {
      finding.complain("cannot be read: \(error)")
    }
    return finding
  }

  /// Both copies, each for itself: readers need only one, but a lost one is worth knowing before the other goes.
  private func readHeader(_ pages: HeaderCopies, _ finding: inout SegmentReport) {
    var copies: [SegmentHeader?] = []
    for copy in 0..<2 {
      // The decoder takes the first valid copy it is shown, so it is shown one.
      var header: SegmentHeader?
      var complaint = "copy \(copy) of the header is not intact"
      if let failure = pages.failures[copy] { complaint = "copy \(copy) of the header cannot be read: \(failure)" }
      pages.showing(copy).withUnsafeBytes { bytes in
        do throws(SegmentHeader.Flaw) {
          header = try SegmentHeader(decoding: bytes)
        } catch {
          guard case .future(let what) = error else { return }
          complaint = "the segment was written by a later version (\(what)); use a newer penstock"
          finding.isOfLaterVersion = true
        }
      }
      if header == nil { finding.complain(complaint, at: UInt64(copy * SegmentHeader.pageSize)) }
      copies.append(header)
    }
    if let first = copies[0], let second = copies[1], first != second {
      finding.complain("the two copies of the header differ", at: 0)
    }
    finding.header = copies[0] ?? copies[1]
  }

  private func compare(
    _ header: SegmentHeader, to previous: SegmentReport?, isFirst: Bool, _ finding: inout SegmentReport
  ) {
    if header.logID != meta.logID { finding.complain("the segment belongs to another log", at: 40) }
    if header.sequence != finding.name.sequence || header.baseOffset != finding.name.baseOffset {
      finding.complain("name and header disagree (segment \(header.sequence), offset \(header.baseOffset))", at: 56)
    }
    if isFirst, header.sequence == 1, header.previousChain != 0 {
      finding.complain("the first segment continues a chain", at: 96)
    }
    let start = meta.start ?? SegmentName(sequence: 1, baseOffset: .zero)
    if isFirst, header.sequence > start.sequence {
      // Not retention: that would have moved the start.
      finding.complain("the segments before this one are missing", at: 56, start.baseOffset..<header.baseOffset)
    }
    guard let previous else { return }
    if header.sequence != previous.name.sequence + 1 {
      finding.complain("follows segment \(previous.name.sequence): the ones between are missing")
    } else if let chain = previous.chain, header.previousChain != chain {
      finding.complain("does not continue the chain of segment \(previous.name.sequence)", at: 96)
    }
  }

  private func walk(
    _ scanner: SegmentScanner, _ readable: SkippingFileSystem, limit: Offset, _ depth: InspectionDepth,
    _ finding: inout SegmentReport, _ visit: (BlockHeader, [UInt8]) -> Void
  ) throws(FileSystemError) {
    var cursor = SegmentScanner.ScanPosition(startOf: scanner.header)
    let reader = BlockReader()
    var finder = BlockFinder(scanner)
    let stride = scanner.stride
    walking: while cursor.offset < limit {
      switch try scanner.look(at: cursor, proving: false) {
      case .block(let block, let next):
        let count = depth == .headers ? BlockFormat.headerSize : block.totalLength
        let bytes = try scanner.fileSystem.readAll(scanner.file, count: count, at: block.position)
        if !scanner.header.isSealed, block.totalLength % BlockFormat.alignment != 0 {
          finding.complain("the block does not end on a page", at: block.position)
        }
        if let flaw = flaw(in: block, bytes, depth, scanner.seed, reader) {
          let isUnreadable = readable.isUnreadable(block.position..<block.endPosition)
          finding.complain(
            isUnreadable ? "the disk cannot read the block" : flaw, at: block.position,
            block.baseOffset..<block.endOffset)
        }
        finding.count(block)
        finding.entries.append(BlockEntry(block))
        visit(block, bytes)
        cursor = next
      case .future(let version):
        finding.complain("a block of the later format version \(version)", at: cursor.position, cursor.offset..<limit)
        finding.isOfLaterVersion = true
        break walking
      case .absent: try skip("there is no block where one must be", &finder, stride, &cursor, limit, &finding)
      case .flawed(let reason):
        let isUnreadable = readable.isUnreadable(cursor.position..<(cursor.position + UInt64(BlockFormat.headerSize)))
        let complaint = isUnreadable ? "the disk cannot read the block's header" : "no valid block: \(reason)"
        try skip(complaint, &finder, stride, &cursor, limit, &finding)
      }
    }
    if cursor.offset > limit {
      finding.complain("the last block reaches past the records that belong here", at: cursor.position)
    }
    finding.end = cursor.offset
    finding.usedBytes = cursor.position
    // The blocks of a sealed segment are not those the next segment continues; its header remembers.
    finding.chain = scanner.header.seal?.chain ?? cursor.chain
  }

  /// Goes on at the next block that belongs here, as readers do; at the limit when there is none.
  private func skip(
    _ message: String, _ finder: inout BlockFinder, _ stride: UInt64, _ cursor: inout SegmentScanner.ScanPosition,
    _ limit: Offset,
    _ finding: inout SegmentReport
  ) throws(FileSystemError) {
    let found = try finder.next(from: cursor.position + stride, offset: cursor.offset).flatMap {
      $0.baseOffset < limit ? $0 : nil
    }
    finding.complain(message, at: cursor.position, cursor.offset..<(found?.baseOffset ?? limit))
    cursor.chain = nil
    cursor.offset = found?.baseOffset ?? limit
    if let found { cursor.position = found.position }
  }

  private func flaw(
    in block: BlockHeader, _ bytes: [UInt8], _ depth: InspectionDepth, _ seed: UInt32, _ reader: BlockReader
  ) -> String? {
    if block.durableUpTo > block.position { return "durableUpTo lies behind the block's own position" }
    var again = [UInt8](repeating: 0, count: BlockFormat.headerSize)
    again.withUnsafeMutableBytes { block.encode(into: $0, seed: seed) }
    if !bytes.starts(with: again) { return "the header says more than this version knows" }
    guard depth >= .contents else { return nil }
    guard bytes.count == block.totalLength else { return "the file ends within the block" }
    return bytes.withUnsafeBytes { raw -> String? in
      do throws(BlockFlaw) {
        _ = try BlockDecoder.decode(block, raw, seed: seed, with: reader)
      } catch {
        return error.reason
      }
      guard depth == .deep else { return nil }
      let stored = Array(raw[block.frontLength...])
      return Checksum.portable(stored, seed: seed) == block.payloadChecksum
        ? nil : "the processor's checksum and the table's differ"
    }
  }

  /// Behind the last block there are zeros, or nothing. In the newest segment a writer may be at work there, or a crash
  /// may have left what recovery has not looked at yet; after an orderly close, neither.
  private func lookBehind(
    _ scanner: SegmentScanner, isLast: Bool, _ finding: inout SegmentReport
  ) throws(FileSystemError) {
    if let seal = scanner.header.seal { return try lookAtFooter(seal, scanner, &finding) }
    finding.bytesBehind = try scanner.nonzeroEnd(from: finding.usedBytes) - finding.usedBytes
    let isKept = isLast && !isClosedCleanly
    if finding.bytesBehind > 0, finding.isGapless, try scanner.isBare(behind: finding.entries) {
      // An index; one that is not whole was cut short by a crash, and nobody needs it.
      let index = try SegmentFooter.read(scanner.fileSystem, scanner.file, scanner.header)
      finding.isIndexed = index?.blocks == finding.entries
    } else if finding.bytesBehind > 0, !isKept {
      finding.complain("\(finding.bytesBehind) bytes behind the last block are not zero", at: finding.usedBytes)
    }
  }
}

extension LogInspector {
  /// Behind the last block of a sealed segment there are the footer and zstd's seek table, which repeat what the blocks say,
  /// and nothing else.
  private func lookAtFooter(
    _ seal: SegmentSeal, _ scanner: SegmentScanner, _ finding: inout SegmentReport
  ) throws(FileSystemError) {
    if seal.endOffset != finding.end {
      finding.complain("the seal speaks of another end, \(seal.endOffset)", at: 120)
    }
    let count = finding.fileBytes - min(seal.footerPosition, finding.fileBytes)
    let found = try scanner.fileSystem.readAll(scanner.file, count: Int(count), at: seal.footerPosition)
    // What is wrong with a block has been told; the footer can only be held against blocks that are there.
    if finding.entries.last?.endPosition == seal.footerPosition,
      found != SegmentFooter.encoded(finding.entries, at: seal.footerPosition, scanner.header),
      finding.problems.isEmpty
    {
      finding.complain("footer or seek table do not say what the blocks say", at: seal.footerPosition)
    } else if try SegmentFooter.read(scanner.fileSystem, scanner.file, scanner.header) == nil {
      finding.complain("the footer is not intact", at: seal.footerPosition)
    }
    if finding.fileBytes != seal.fileLength {
      finding.complain("the file has \(finding.fileBytes) bytes, its seal speaks of \(seal.fileLength)", at: 144)
    }
  }
}

extension SegmentReport {
  /// What the original took in its file, in bytes; nil when the segment is not sealed.
  package var bytesBeforeSealing: UInt64? { header?.seal?.originalBytes }

  /// Whether the blocks found fill the segment from its beginning without a hole.
  fileprivate var isGapless: Bool {
    var position = UInt64(SegmentHeader.size)
    for entry in entries {
      guard entry.position == position else { return false }
      position = entry.endPosition
    }
    return position == usedBytes
  }

  fileprivate mutating func count(_ block: BlockHeader) {
    blocks += 1
    records += block.recordCount
    rawBytes += block.rawLength
    storedBytes += block.storedLength
  }
}
