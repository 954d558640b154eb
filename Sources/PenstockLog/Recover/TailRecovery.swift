/// Recovery of the newest segment: read everything, decide by the table, and only then write. Every method blocks the
/// calling thread.
struct TailRecovery {
  let environment: LogEnvironment
  let paths: LogPaths
  let file: OpenFile
  let path: String
  let header: SegmentHeader
  let isStrict: Bool

  /// Replaces unreadable pages by bytes that are no block: an unreadable page costs its block, not the log.
  private let readable: SkippingFileSystem

  init(
    environment: LogEnvironment, paths: LogPaths, file: OpenFile, path: String, header: SegmentHeader, isStrict: Bool
  ) {
    self.environment = environment
    self.paths = paths
    self.file = file
    self.path = path
    self.header = header
    self.isStrict = isStrict
    readable = SkippingFileSystem(environment.fileSystem)
  }

  private var fileSystem: any FileSystem { environment.fileSystem }
  private var scanner: SegmentScanner { SegmentScanner(readable, file.handle, header) }

  /// What the segment holds.
  struct Examination: Sendable {
    var inputs: TailInputs
    var row: TailVerdict.Row
    /// Valid blocks in order; a hole between two is a gap.
    var entries: [BlockEntry] = []
    /// The position F.
    var tail: SegmentScanner.ScanPosition
    /// The position after the last valid block.
    var last: SegmentScanner.ScanPosition
    /// Byte ranges that are neither valid blocks nor zeros at the end.
    var badRanges: [Range<UInt64>] = []
    /// One past the last record that an intact header names.
    var writtenEnd: Offset
    var gaps: [Gap] = []
    /// The flaw at F.
    var flaw: String?
    /// An intact block of a later format version is there: nothing may be cut.
    var futureVersion: UInt16?
  }

  /// Reads the segment and decides. Writes nothing.
  func examine(_ evidence: DurabilityEvidence) throws(LogError) -> Examination {
    do throws(FileSystemError) {
      return try examined(evidence)
    } catch {
      throw LogError(error, while: "read the newest segment")
    }
  }

  private func examined(_ durability: DurabilityEvidence) throws(FileSystemError) -> Examination {
    var cursor = SegmentScanner.ScanPosition(startOf: header)
    var entries: [BlockEntry] = []
    var flaw = try walk(from: &cursor, into: &entries)
    let tail = cursor
    let written = try scanner.nonzeroEnd(from: tail.position)
    let evidence = try scanner.evidence(from: tail.position)
    // Any later block can show that F was synced, even one with a damaged payload.
    var laterBlocks = evidence.durableUpTo > tail.position ? TailInputs.LaterBlocks.someSynced : .none
    var gaps: [Gap] = []
    var bad: [Range<UInt64>] = []
    // Continue after F: blocks there are served if F was synced.
    var finder = BlockFinder(scanner)
    while let later = try nextValid(after: cursor, &finder) {
      if laterBlocks == .none { laterBlocks = .allUnsynced }
      if later.baseOffset > cursor.offset {
        gaps.append(Gap(first: cursor.offset, end: later.baseOffset, reason: .damaged, path: path))
      }
      bad.append(cursor.position..<later.position)
      cursor.position = later.position
      cursor.offset = later.baseOffset
      cursor.chain = nil
      _ = try walk(from: &cursor, into: &entries)
    }
    // If the next segment is missing, an index may follow: it was written when the next segment existed.
    let hasOnlyIndex = cursor.position == tail.position ? try scanner.hasOnlyIndex(after: entries) : false
    if written > cursor.position, !hasOnlyIndex { bad.append(cursor.position..<written) }
    if hasOnlyIndex {
      flaw = nil
    } else if flaw == nil, written > tail.position {
      flaw = "no block where one should be"
    }
    let isCounted = laterBlocks != .none || evidence.endOffset > tail.offset
    let inputs = TailInputs(
      isAllZero: hasOnlyIndex, laterBlocks: laterBlocks,
      hasEvidence: durability.reach(past: tail.position, tail.offset, in: header.sequence), isStrict: isStrict,
      flaw: hasOnlyIndex ? .maybeTorn : try nature(of: tail, isCounted: isCounted))
    return Examination(
      inputs: inputs, row: TailVerdict.row(for: inputs), entries: entries, tail: tail, last: cursor, badRanges: bad,
      writtenEnd: max(cursor.offset, evidence.endOffset), gaps: gaps, flaw: flaw,
      futureVersion: evidence.futureVersion)
  }

  /// Classifies the bytes at F. "Altered" only where the number of their records is known: otherwise a verdict of
  /// damage would name no loss.
  private func nature(
    of tail: SegmentScanner.ScanPosition, isCounted: Bool
  ) throws(FileSystemError) -> TailInputs.Flaw {
    var bytes = try readable.readAll(file.handle, count: BlockFormat.headerSize, at: tail.position)
    let header = bytes.count == BlockFormat.headerSize ? try? scanner.decode(bytes[...]).get() : nil
    var length = UInt64(BlockFormat.headerSize)
    if let header {
      // An intact block of another position is no torn write, but it is not the block of this position either.
      guard header.position == tail.position, header.segment == self.header.sequence else { return .maybeTorn }
      length = UInt64(header.totalLength)
      bytes = try readable.readAll(file.handle, count: header.totalLength, at: tail.position)
    }
    if readable.isUnreadable(tail.position..<(tail.position + length)) { return .unreadable }
    let isTorn = bytes.withUnsafeBytes { TornWrite.explains(header, $0, seed: self.header.seed) }
    return isTorn || !isCounted ? .maybeTorn : .altered
  }

  /// Collects blocks until one does not fit; returns why, or nil for zeros.
  private func walk(
    from cursor: inout SegmentScanner.ScanPosition, into entries: inout [BlockEntry]
  ) throws(FileSystemError) -> String? {
    while true {
      switch try scanner.look(at: cursor, proving: true) {
      case .block(let header, let next):
        entries.append(BlockEntry(header))
        cursor = next
      case .absent: return nil
      case .flawed(let reason): return reason
      case .future(let version): return "a block of format version \(version)"
      }
    }
  }

  /// The next block after a flaw whose header *and* payload are valid.
  private func nextValid(
    after cursor: SegmentScanner.ScanPosition, _ finder: inout BlockFinder
  ) throws(FileSystemError) -> BlockHeader? {
    var position = cursor.position + UInt64(BlockFormat.alignment)
    while let found = try finder.next(from: position, offset: cursor.offset) {
      var place = cursor
      place.position = found.position
      place.offset = found.baseOffset
      place.chain = nil
      if case .block = try scanner.look(at: place, proving: true) { return found }
      position = found.position + UInt64(BlockFormat.alignment)
    }
    return nil
  }

  /// Cuts everything from F on, durably; returns how many bytes there were up to the last nonzero one. Later writes
  /// then go into new space. That matters after a failed write: a file system may never show a later write into the
  /// same space.
  func cut(_ result: Examination) throws(LogError) -> UInt64 {
    do throws(FileSystemError) {
      let position = result.tail.position
      let size = try fileSystem.size(file.handle)
      guard size > position else { return 0 }
      let end = result.inputs.isAllZero ? position : try scanner.nonzeroEnd(from: position)
      try fileSystem.truncate(file.handle, to: position)
      try fileSystem.synchronize(file.handle)
      return end - position
    } catch {
      throw LogError(error, while: "cut the end of the newest segment")
    }
  }

  /// Copies bytes to the quarantine folder, synced; returns the copies' paths. Idempotent.
  func quarantine(_ ranges: [Range<UInt64>]) throws(LogError) -> [String] {
    var copies: [String] = []
    var unfinished: String?
    do throws(FileSystemError) {
      for range in ranges {
        // The content is part of the name. So a copy of other bytes never replaces an earlier copy, whether a crash
        // interrupted a cut or the position was used again.
        let checksum = String(try checksum(of: range), radix: 16)
        let name = "segment-\(header.sequence)-position-\(range.lowerBound)-\(checksum).bin"
        let copy = paths.quarantined(name)
        try fileSystem.removeIfPresent(copy)
        unfinished = copy
        let target = OpenFile(fileSystem, try fileSystem.open(copy, .create))
        try copyBytes(range, to: target)
        try fileSystem.synchronize(target.handle)
        copies.append(copy)
        unfinished = nil
      }
      if !copies.isEmpty { try fileSystem.synchronizeDirectory(paths.quarantine) }
    } catch {
      // On a full disk: the copy's space is freed, and bytes without a copy are not cut.
      if let unfinished { try? fileSystem.removeIfPresent(unfinished) }
      throw LogError(error, while: "keep a copy of damaged bytes")
    }
    return copies
  }

  private func checksum(of range: Range<UInt64>) throws(FileSystemError) -> UInt32 {
    var checksum = Checksum()
    var position = range.lowerBound
    while position < range.upperBound {
      let bytes = try readable.readAll(
        file.handle, count: Int(min(1 << 20, range.upperBound - position)), at: position)
      if bytes.isEmpty { break }
      bytes.withUnsafeBytes { checksum.update($0) }
      position += UInt64(bytes.count)
    }
    return checksum.value
  }

  private func copyBytes(_ range: Range<UInt64>, to target: OpenFile) throws(FileSystemError) {
    var position = range.lowerBound
    while position < range.upperBound {
      let bytes = try readable.readAll(
        file.handle, count: Int(min(1 << 20, range.upperBound - position)), at: position)
      if bytes.isEmpty { return }
      var failure: FileSystemError?
      bytes.withUnsafeBytes { bytes in
        do throws(FileSystemError) {
          try fileSystem.writeAll(target.handle, bytes, at: position - range.lowerBound)
        } catch {
          failure = error
        }
      }
      if let failure { throw failure }
      position += UInt64(bytes.count)
    }
  }
}
