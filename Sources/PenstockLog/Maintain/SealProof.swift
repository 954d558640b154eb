/// Proves that a sealed segment equals its original. Each record has the same offset, bytes and append time; each block
/// has the same event times and trailer sections; the index equals the blocks.
///
/// It reads both files. The code that wrote the sealed file and this proof share only the reading of blocks.
enum SealProof {
  /// Throws `.damaged`, naming the first difference. Blocks the calling thread.
  static func prove(
    _ sealedFile: OpenFile, path: String, equals original: inout SegmentBlocks,
    _ pace: (Int) throws(LogError) -> Void = { _ throws(LogError) in }
  ) throws(LogError) {
    let fileSystem = sealedFile.fileSystem
    let header = try SegmentScanner.readHeader(fileSystem, sealedFile.handle, path: path)
    let mistake = Mistake(path: path)
    guard let seal = header.seal, header.isOriginal(of: original.scanner.header) else {
      throw mistake.found("the header is not the original's, sealed")
    }
    var sealed = SegmentBlocks(sealedFile, header, limit: original.limit, path: path)
    var blocks: [BlockEntry] = []
    while let block = try sealed.next() {
      try pace(block.header.totalLength)
      try compare(block, &original, mistake)
      blocks.append(BlockEntry(block.header))
    }
    guard try original.next() == nil, sealed.cursor.offset == original.limit,
      original.cursor.offset == original.limit
    else { throw mistake.found("it ends at \(sealed.cursor.offset), the original at \(original.cursor.offset)") }
    guard seal.endOffset == original.limit, seal.chain == original.cursor.chain,
      seal.footerPosition == sealed.cursor.position
    else { throw mistake.found("the seal does not fit the blocks") }
    let tail: [UInt8]
    do throws(FileSystemError) {
      tail = try fileSystem.readAll(
        sealedFile.handle, count: Int(seal.fileLength - seal.footerPosition) + 1, at: seal.footerPosition)
    } catch {
      throw LogError(error, while: "read a sealed segment's footer")
    }
    guard tail == SegmentFooter.encoded(blocks, at: seal.footerPosition, header) else {
      throw mistake.found("footer or seek table do not fit the blocks")
    }
  }

  private struct Mistake {
    let path: String
    func found(_ what: String, at offset: Offset? = nil) -> LogError {
      LogError(
        .damaged, "a sealed segment differs from its original: \(what)", location: .init(path: path, offset: offset))
    }
  }

  /// Compares one sealed block with the original's blocks that hold its records.
  private static func compare(
    _ sealed: ReadBlock, _ original: inout SegmentBlocks, _ mistake: Mistake
  ) throws(LogError) {
    var offset = sealed.block.baseOffset
    let isOfLines = sealed.header.flags & BlockFormat.lengthsFlag == 0
    guard sealed.hasRightContentChecksum, isOfLines == (sealed.sections[BlockFormat.contentChecksumSection] != nil)
    else { throw mistake.found("the checksum of the records", at: offset) }
    var eventTimes: ClosedRange<Int64>?
    var knowsEventTimes = true
    var sections: [(TrailerSections, Int)] = []
    while offset < sealed.block.endOffset {
      guard let block = try original.next(), block.block.baseOffset == offset,
        block.block.endOffset <= sealed.block.endOffset
      else { throw mistake.found("a block ends inside a sealed block", at: offset) }
      guard block.hasRightContentChecksum else {
        throw mistake.found("the original's checksum of the records is not theirs", at: offset)
      }
      if let record = firstDifference(sealed.block, block.block) {
        throw mistake.found("the record, or its append time, is different", at: record)
      }
      knowsEventTimes = knowsEventTimes && block.header.flags & BlockFormat.eventTimesKnownFlag != 0
      if let times = block.header.eventTimes {
        let before = eventTimes ?? times
        eventTimes = min(before.lowerBound, times.lowerBound)...max(before.upperBound, times.upperBound)
      }
      sections.append((block.sections, block.block.count))
      offset = block.block.endOffset
    }
    let claimsToKnow = sealed.header.flags & BlockFormat.eventTimesKnownFlag != 0
    guard sealed.header.eventTimes == eventTimes, claimsToKnow == knowsEventTimes else {
      throw mistake.found("event times", at: offset)
    }
    guard sealed.sections.carried == TrailerSections.joined(sections.map { ($0.0, $0.1) }) else {
      throw mistake.found("trailer sections", at: offset)
    }
  }

  /// The first record of `original` that differs in `sealed`.
  private static func firstDifference(_ sealed: DecodedBlock, _ original: DecodedBlock) -> Offset? {
    let first = original.baseOffset - sealed.baseOffset
    let shift = sealed.start(of: first)
    return sealed.payload.withUnsafeBytes { sealedBytes -> Offset? in
      original.payload.withUnsafeBytes { originalBytes -> Offset? in
        for index in 0..<original.count {
          let range = original.start(of: index)..<Int(original.ends[index])
          let other = sealed.start(of: first + index)..<Int(sealed.ends[first + index])
          guard other == (range.lowerBound + shift)..<(range.upperBound + shift),
            Bytes.areEqual(
              UnsafeRawBufferPointer(rebasing: originalBytes[range]),
              UnsafeRawBufferPointer(rebasing: sealedBytes[other])),
            original.appendTimes.time(of: index) == sealed.appendTimes.time(of: first + index)
          else { return original.baseOffset + index }
        }
        return nil
      }
    }
  }
}

extension SegmentHeader {
  /// Whether this sealed header equals `original` in every field that sealing must not change.
  fileprivate func isOriginal(of original: SegmentHeader) -> Bool {
    logID == original.logID && sequence == original.sequence && epoch == original.epoch
      && baseOffset == original.baseOffset && previousChain == original.previousChain && begunAt == original.begunAt
      && incompatibleFeatures == original.incompatibleFeatures | Self.sealedFeature
      && readOnlyFeatures == original.readOnlyFeatures && latestEventTime == original.latestEventTime
      && compatibleFeatures == original.compatibleFeatures
      && salt != original.salt
  }
}
