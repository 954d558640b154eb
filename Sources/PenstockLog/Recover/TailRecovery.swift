/// Recovery of the newest segment: read everything, decide by the table, and only then write.
package struct TailRecovery {
  package let environment: LogEnvironment
  package let paths: LogPaths
  package let file: OpenFile
  package let path: String
  package let header: SegmentHeader
  package let isStrict: Bool

  /// Shows pages that cannot be read as bytes that are no block: a bad page costs its block, not the log.
  private let readable: SkippingFileSystem

  package init(
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
  package struct Finding: Sendable {
    package var facts: TailFacts
    package var row: TailVerdict.Row
    /// Valid blocks in order; a hole between two is a gap.
    package var entries: [BlockEntry] = []
    /// The place of F.
    package var tail: SegmentScanner.ScanPosition
    /// The place after the last valid block.
    package var last: SegmentScanner.ScanPosition
    /// Stretches of bytes that are neither valid blocks nor zeros at the end.
    package var badRanges: [Range<UInt64>] = []
    /// One past the last record that some intact header speaks of.
    package var writtenEnd: Offset
    package var gaps: [Gap] = []
    /// What looked wrong at F.
    package var flaw: String?
    /// A block of a later format version stands here, intact: nothing may be cut.
    package var futureVersion: UInt16?
  }

  /// Reads the segment and decides. Writes nothing.
  package func examine(_ witnesses: DurabilityEvidence) throws(LogError) -> Finding {
    do throws(FileSystemError) {
      return try examined(witnesses)
    } catch {
      throw LogError(error, while: "read the newest segment")
    }
  }

  private func examined(_ witnesses: DurabilityEvidence) throws(FileSystemError) -> Finding {
    var cursor = SegmentScanner.ScanPosition(startOf: header)
    var entries: [BlockEntry] = []
    var flaw = try walk(from: &cursor, into: &entries)
    let tail = cursor
    let written = try scanner.nonzeroEnd(from: tail.position)
    let evidence = try scanner.evidence(from: tail.position)
    // Not only the next block tells whether F was synced, and not only one whose payload is whole.
    var laterBlocks = evidence.durableUpTo > tail.position ? TailFacts.LaterBlocks.someSynced : .none
    var gaps: [Gap] = []
    var bad: [Range<UInt64>] = []
    // Walk on behind F: what stands there is served if F was synced.
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
    // Where the next segment is gone, an index may stand here: it was written when there was one.
    let isBare = cursor.position == tail.position ? try scanner.isBare(behind: entries) : false
    if written > cursor.position, !isBare { bad.append(cursor.position..<written) }
    if isBare { flaw = nil } else if flaw == nil, written > tail.position { flaw = "no block where one should be" }
    let isCounted = laterBlocks != .none || evidence.endOffset > tail.offset
    let facts = TailFacts(
      isAllZero: isBare, laterBlocks: laterBlocks,
      hasEvidence: witnesses.reach(past: tail.position, tail.offset, in: header.sequence), isStrict: isStrict,
      flaw: isBare ? .maybeTorn : try nature(of: tail, isCounted: isCounted))
    return Finding(
      facts: facts, row: TailVerdict.row(for: facts), entries: entries, tail: tail, last: cursor, badRanges: bad,
      writtenEnd: max(cursor.offset, evidence.endOffset), gaps: gaps, flaw: flaw,
      futureVersion: evidence.futureVersion)
  }

  /// What became of the bytes at F. "Altered" only where it is known how many records they held: otherwise a verdict of
  /// damage would name no loss.
  private func nature(of tail: SegmentScanner.ScanPosition, isCounted: Bool) throws(FileSystemError) -> TailFacts.Flaw {
    var bytes = try readable.readAll(file.handle, count: BlockFormat.headerSize, at: tail.position)
    let header = bytes.count == BlockFormat.headerSize ? try? scanner.decode(bytes[...]).get() : nil
    var length = UInt64(BlockFormat.headerSize)
    if let header {
      // An intact block that does not belong here was not cut short, but it is not this place's either.
      guard header.position == tail.position, header.segment == self.header.sequence else { return .maybeTorn }
      length = UInt64(header.totalLength)
      bytes = try readable.readAll(file.handle, count: header.totalLength, at: tail.position)
    }
    if readable.isUnreadable(tail.position..<(tail.position + length)) { return .unreadable }
    let isTorn = bytes.withUnsafeBytes { TornWrite.explains(header, $0, seed: self.header.seed) }
    return isTorn || !isCounted ? .maybeTorn : .altered
  }

  /// Collects blocks until one does not fit; returns why, or nothing for zeros.
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

  /// The next block behind a flaw whose header *and* payload are proven.
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

  /// Gives back everything from F on, durably; returns up to which byte there was anything. What is written there later is
  /// written into new space: where a write into the old space failed, a file system may never show what a later one wrote.
  package func cut(_ finding: Finding) throws(LogError) -> UInt64 {
    do throws(FileSystemError) {
      let position = finding.tail.position
      let size = try fileSystem.size(file.handle)
      guard size > position else { return 0 }
      let end = finding.facts.isAllZero ? position : try scanner.nonzeroEnd(from: position)
      try fileSystem.truncate(file.handle, to: position)
      try fileSystem.synchronize(file.handle)
      return end - position
    } catch {
      throw LogError(error, while: "cut the end of the newest segment")
    }
  }

  /// Copies bytes to the quarantine folder, synced; returns the copies' paths. Doing it again gives the same files.
  package func quarantine(_ ranges: [Range<UInt64>]) throws(LogError) -> [String] {
    var copies: [String] = []
    var unfinished: String?
    do throws(FileSystemError) {
      for range in ranges {
        // The content is part of the name: bytes that differ, because a crash cut half of a cut, or because the place was
        // used again, never replace an earlier copy.
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
      // On a full disk: what it took is given back, and nothing is cut that could not be kept.
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
