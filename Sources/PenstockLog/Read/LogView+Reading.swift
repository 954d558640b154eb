extension LogView {
  /// The records from `first` on, up to both limits, at least one; nil at the end. It throws a gap at `first`; a later
  /// gap ends the batch. Blocks the calling thread.
  ///
  /// - Parameter unopened: Blocks that are whole in the batch may be taken unopened; see ``PackedBlock``.
  package func batch(
    from first: Offset, maxRecords: Int, maxBytes: Int, unopened: Bool = false
  ) throws(LogError) -> Batch? {
    var builder = BatchBuilder(
      from: first, maxRecords: maxRecords, maxBytes: maxBytes, unpackedBy: blocks.readers, unopened: unopened)
    return try gather(&builder)
  }

  /// From now on decoded blocks keep their frames; see ``DecodedBlock/frame``.
  package func retainCompressedFrames() { blocks.retainCompressedFrames() }

  /// Exactly the records of `range`, which must not be empty. Blocks the calling thread.
  package func batch(in range: Range<Offset>, unopened: Bool = false) throws(LogError) -> Batch {
    var builder = try builder(of: range, unopened: unopened)
    return Self.whole(try gather(&builder))
  }

  func builder(of range: Range<Offset>, unopened: Bool = false) throws(LogError) -> RangeBuilder {
    guard !range.isEmpty, range.upperBound <= end else {
      throw LogError(
        .outOfRange, "records \(range.lowerBound) ..< \(range.upperBound) are not in the log, which ends at \(end)",
        location: .init(offset: range.lowerBound))
    }
    return RangeBuilder(range, unpackedBy: blocks.readers, unopened: unopened)
  }

  static func whole(_ batch: Batch?) -> Batch {
    guard let batch else { preconditionFailure("a range that is not empty has no record") }
    return batch
  }

  private func gather(_ builder: inout some BlockGatherer) throws(LogError) -> Batch? {
    while true {
      if let batch = try gatherBlock(&builder) { return batch }
    }
  }

  /// Reads and takes one block. Returns the batch when it is complete: `.some(nil)` is the end. Blocks the calling
  /// thread.
  func gatherBlock(_ builder: inout some BlockGatherer) throws(LogError) -> Batch?? {
    let block: DecodedBlock?
    do throws(LogError) {
      if let unopened = try unopenedBlock(for: builder) {
        return builder.take(unopened: unopened) ? nil : .some(try builder.end())
      }
      block = try self.block(holding: builder.offset)
    } catch {
      return .some(try builder.end(error))
    }
    guard let block, builder.take(block) else { return .some(try builder.end()) }
    return nil
  }

  /// The next block unopened, where the gatherer wants it so and it can be; nil where it must be decoded, and at the
  /// end. Blocks the calling thread.
  private func unopenedBlock(for builder: some BlockGatherer) throws(LogError) -> PackedBlock? {
    guard builder.takesUnopened, builder.offset < end else { return nil }
    if let cached = blocks.find(builder.offset), !isReadUnopened(cached, by: builder) { return nil }
    let start = observation.start()
    let found = try withBlock(holding: builder.offset) { (segment, entry) throws(LogError) -> PackedBlock? in
      let range = entry.baseOffset..<entry.endOffset
      guard builder.wantsUnopened(range, byteCount: 0), entry.mayBeTakenUnopened else { return nil }
      let block = try blocks.readers.with { (reader) throws(LogError) in
        try segment.unopened(entry, with: reader, unpackedBy: blocks.readers)
      }
      guard let block, builder.wantsUnopened(range, byteCount: block.byteCount) else { return nil }
      return block
    }
    guard let block = found ?? nil else { return nil }
    observation.tell(since: start) {
      .readBlock(LogObserverEvent.Read(bytes: block.frame.count, wasCached: false, duration: $0))
    }
    return block
  }
}

extension BlockEntry {
  /// As far as the index says.
  fileprivate var mayBeTakenUnopened: Bool {
    flags & BlockFormat.lengthsFlag == 0 && (rawLength == 0 || rawLength >= PackedBlock.leastUnopened)
  }
}
