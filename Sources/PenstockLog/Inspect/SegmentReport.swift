/// The result of a walk through one segment.
package struct SegmentReport: Sendable {
  package let name: SegmentName
  package let path: String
  /// Nil when neither copy is intact.
  package var header: SegmentHeader?
  /// The file's length in bytes, including zeros filled ahead.
  package var fileBytes: UInt64 = 0
  /// Where the walk ended: after the last block that belongs here.
  package var usedBytes: UInt64 = 0
  package var blocks = 0
  package var records = 0
  /// Payloads, uncompressed, each record with its line feed.
  package var rawBytes = 0
  /// The zstd frames.
  var storedBytes = 0
  /// One past the last record.
  package var end: Offset
  /// What the next segment's `previousChain` must be; nil when any is accepted.
  var chain: UInt64?
  /// Bytes after the last block, up to the last that is not zero.
  package var trailingBytes: UInt64 = 0
  package var problems: [InspectionProblem] = []
  /// Whether a whole index follows the blocks and agrees with them.
  var isIndexed = false
  /// All blocks, to compare the index with them.
  fileprivate var entries: [BlockEntry] = []
  /// A later version wrote it, so that its problems may not be real.
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
  /// Walks one segment up to where its records should end. Never throws: what cannot be read becomes a problem in the
  /// report.
  ///
  /// - Parameters:
  ///   - previous: The report of the segment before, which this one must continue; nil to skip that check.
  ///   - visit: Called with every block and its bytes (with ``InspectionDepth/headers`` its header's alone).
  package func inspect(
    segmentAt index: Int, _ depth: InspectionDepth, after previous: SegmentReport?,
    visit: (BlockHeader, [UInt8]) -> Void = { _, _ in }
  ) -> SegmentReport {
    let name = segments[index]
    var report = SegmentReport(name, path: path(of: name))
    do throws(FileSystemError) {
      let fileSystem = environment.fileSystem
      let file = OpenFile(fileSystem, try fileSystem.open(report.path, .readOnly))
      report.fileBytes = try fileSystem.size(file.handle)
      readHeader(try HeaderCopies(of: file.handle, fileSystem), &report)
      guard let header = report.header else {
        report.complain("the segment has no readable header", at: 0, name.baseOffset..<limit(ofSegmentAt: index))
        return report
      }
      compare(header, to: previous, isFirst: index == 0, &report)
      // An unreadable page hides its block, not the blocks after it.
      let readable = SkippingFileSystem(fileSystem)
      let scanner = SegmentScanner(readable, file.handle, header)
      try walk(scanner, readable, limit: limit(ofSegmentAt: index), depth, &report, visit)
      if depth >= .contents { try checkEnd(scanner, isLast: index == segments.count - 1, &report) }
      report.entries = []
    } catch {
      report.complain("cannot be read: \(error)")
    }
    return report
  }

  /// Checks both copies: readers need only one, but an operator should know of a lost one before the other is lost.
  private func readHeader(_ pages: HeaderCopies, _ report: inout SegmentReport) {
    var copies: [SegmentHeader?] = []
    for copy in 0..<2 {
      // The decoder takes the first valid copy, so it gets one at a time.
      var header: SegmentHeader?
      var complaint = "copy \(copy) of the header is not intact"
      if let failure = pages.failures[copy] { complaint = "copy \(copy) of the header cannot be read: \(failure)" }
      pages.showing(copy).withUnsafeBytes { bytes in
        do throws(SegmentHeader.Flaw) {
          header = try SegmentHeader(decoding: bytes)
        } catch {
          guard case .future(let what) = error else { return }
          complaint = "the segment was written by a later version (\(what)); use a newer penstock"
          report.isOfLaterVersion = true
        }
      }
      if header == nil { report.complain(complaint, at: UInt64(copy * SegmentHeader.pageSize)) }
      copies.append(header)
    }
    if let first = copies[0], let second = copies[1], first != second {
      report.complain("the two copies of the header differ", at: 0)
    }
    report.header = copies[0] ?? copies[1]
  }

  private func compare(
    _ header: SegmentHeader, to previous: SegmentReport?, isFirst: Bool, _ report: inout SegmentReport
  ) {
    if header.logID != meta.logID { report.complain("the segment belongs to another log", at: 40) }
    if header.sequence != report.name.sequence || header.baseOffset != report.name.baseOffset {
      report.complain("name and header disagree (segment \(header.sequence), offset \(header.baseOffset))", at: 56)
    }
    if isFirst, header.sequence == 1, header.previousChain != 0 {
      report.complain("the first segment continues a chain", at: 96)
    }
    let start = meta.start ?? SegmentName(sequence: 1, baseOffset: .zero)
    if isFirst, header.sequence > start.sequence {
      // Not retention: that would have moved the start.
      report.complain("the segments before this one are missing", at: 56, start.baseOffset..<header.baseOffset)
    }
    guard let previous else { return }
    if header.sequence != previous.name.sequence + 1 {
      report.complain("follows segment \(previous.name.sequence): the segments between them are missing")
    } else if let chain = previous.chain, header.previousChain != chain {
      report.complain("does not continue the chain of segment \(previous.name.sequence)", at: 96)
    }
  }

  private func walk(
    _ scanner: SegmentScanner, _ readable: SkippingFileSystem, limit: Offset, _ depth: InspectionDepth,
    _ report: inout SegmentReport, _ visit: (BlockHeader, [UInt8]) -> Void
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
          report.complain("the block does not end at a multiple of 4,096", at: block.position)
        }
        if let flaw = flaw(in: block, bytes, depth, scanner.seed, reader) {
          let isUnreadable = readable.isUnreadable(block.position..<block.endPosition)
          report.complain(
            isUnreadable ? "the disk cannot read the block" : flaw, at: block.position,
            block.baseOffset..<block.endOffset)
        }
        report.count(block)
        report.entries.append(BlockEntry(block))
        visit(block, bytes)
        cursor = next
      case .future(let version):
        report.complain("a block has the later format version \(version)", at: cursor.position, cursor.offset..<limit)
        report.isOfLaterVersion = true
        break walking
      case .absent: try skip("there is no block where one must be", &finder, stride, &cursor, limit, &report)
      case .flawed(let reason):
        let isUnreadable = readable.isUnreadable(cursor.position..<(cursor.position + UInt64(BlockFormat.headerSize)))
        let complaint = isUnreadable ? "the disk cannot read the block's header" : "no valid block: \(reason)"
        try skip(complaint, &finder, stride, &cursor, limit, &report)
      }
    }
    if cursor.offset > limit {
      report.complain("the last block reaches past the records that belong here", at: cursor.position)
    }
    report.end = cursor.offset
    report.usedBytes = cursor.position
    // The next segment continues the original's blocks, not the sealed ones; the seal holds the original's chain.
    report.chain = scanner.header.seal?.chain ?? cursor.chain
  }

  /// Continues at the next block that belongs here, as readers do; at the limit when there is none.
  private func skip(
    _ message: String, _ finder: inout BlockFinder, _ stride: UInt64, _ cursor: inout SegmentScanner.ScanPosition,
    _ limit: Offset, _ report: inout SegmentReport
  ) throws(FileSystemError) {
    let found = try finder.next(from: cursor.position + stride, offset: cursor.offset).flatMap {
      $0.baseOffset < limit ? $0 : nil
    }
    report.complain(message, at: cursor.position, cursor.offset..<(found?.baseOffset ?? limit))
    cursor.chain = nil
    cursor.offset = found?.baseOffset ?? limit
    if let found { cursor.position = found.position }
  }

  private func flaw(
    in block: BlockHeader, _ bytes: [UInt8], _ depth: InspectionDepth, _ seed: UInt32, _ reader: BlockReader
  ) -> String? {
    if block.durableUpTo > block.position { return "durableUpTo is past the block's own position" }
    var again = [UInt8](repeating: 0, count: BlockFormat.headerSize)
    again.withUnsafeMutableBytes { block.encode(into: $0, seed: seed) }
    if !bytes.starts(with: again) { return "the header has fields that this version does not know" }
    guard depth >= .contents else { return nil }
    guard bytes.count == block.totalLength else { return "the file ends within the block" }
    return bytes.withUnsafeBytes { raw -> String? in
      do throws(BlockFlaw) {
        let decoded = try BlockDecoder.decode(block, raw, seed: seed, with: reader)
        let checksum = decoded.payload.withUnsafeBytes { Checksum.of($0) }
        if let said = BlockDecoder.contentChecksum(block, raw), said != checksum {
          return "the trailer has another checksum of the records"
        }
      } catch {
        return error.reason
      }
      guard depth == .deep else { return nil }
      let stored = Array(raw[block.frontLength...])
      return Checksum.portable(stored, seed: seed) == block.payloadChecksum
        ? nil : "the processor's checksum and the table's differ"
    }
  }

  /// Checks that zeros, or nothing, follow the last block. After the newest segment's last block a writer may be
  /// writing, or a crash may have left bytes that recovery has not yet seen; after an orderly close, neither.
  private func checkEnd(
    _ scanner: SegmentScanner, isLast: Bool, _ report: inout SegmentReport
  ) throws(FileSystemError) {
    if let seal = scanner.header.seal { return try checkFooter(seal, scanner, &report) }
    report.trailingBytes = try scanner.nonzeroEnd(from: report.usedBytes) - report.usedBytes
    let isKept = isLast && !isClosedCleanly
    if report.trailingBytes > 0, report.isGapless, try scanner.hasOnlyIndex(after: report.entries) {
      // An index. A partial one was interrupted by a crash, and no reader needs it.
      let index = try SegmentFooter.read(scanner.fileSystem, scanner.file, scanner.header)
      report.isIndexed = index?.blocks == report.entries
    } else if report.trailingBytes > 0, !isKept {
      report.complain("\(report.trailingBytes) bytes after the last block are not zero", at: report.usedBytes)
    }
  }
}

extension LogInspector {
  /// Checks the end of a sealed segment: the footer and zstd's seek table, which agree with the blocks, and nothing
  /// else.
  private func checkFooter(
    _ seal: SegmentSeal, _ scanner: SegmentScanner, _ report: inout SegmentReport
  ) throws(FileSystemError) {
    if seal.endOffset != report.end {
      report.complain("the seal gives another end, \(seal.endOffset)", at: 120)
    }
    let count = report.fileBytes - min(seal.footerPosition, report.fileBytes)
    let found = try scanner.fileSystem.readAll(scanner.file, count: Int(count), at: seal.footerPosition)
    // Problems of blocks are already reported. The footer can only be compared with blocks that were found.
    if report.entries.last?.endPosition == seal.footerPosition,
      found != SegmentFooter.encoded(report.entries, at: seal.footerPosition, scanner.header),
      report.problems.isEmpty
    {
      report.complain("footer or seek table disagree with the blocks", at: seal.footerPosition)
    } else if try SegmentFooter.read(scanner.fileSystem, scanner.file, scanner.header) == nil {
      report.complain("the footer is not intact", at: seal.footerPosition)
    }
    if report.fileBytes != seal.fileLength {
      report.complain("the file has \(report.fileBytes) bytes, its seal says \(seal.fileLength)", at: 144)
    }
  }
}

extension SegmentReport {
  /// The bytes of the original's file; nil when the segment is not sealed.
  package var bytesBeforeSealing: UInt64? { header?.seal?.originalBytes }

  /// Whether the found blocks fill the segment from its beginning without a hole.
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
