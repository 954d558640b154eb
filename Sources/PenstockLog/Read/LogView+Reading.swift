extension LogView {
  /// The records from `first` on, up to both limits, at least one; nil at the end. It throws a gap at `first`; a later
  /// gap ends the batch. Blocks the calling thread.
  package func batch(from first: Offset, maxRecords: Int, maxBytes: Int) throws(LogError) -> Batch? {
    var builder = BatchBuilder(from: first, maxRecords: maxRecords, maxBytes: maxBytes, unpackedBy: blocks.readers)
    return try gather(&builder)
  }

  /// From now on decoded blocks keep their frames; see ``DecodedBlock/frame``.
  package func retainCompressedFrames() { blocks.retainCompressedFrames() }

  /// Exactly the records of `range`, which must not be empty. Blocks the calling thread.
  package func batch(in range: Range<Offset>) throws(LogError) -> Batch {
    var builder = try builder(of: range)
    return Self.whole(try gather(&builder))
  }

  func builder(of range: Range<Offset>) throws(LogError) -> RangeBuilder {
    guard !range.isEmpty, range.upperBound <= end else {
      throw LogError(
        .outOfRange, "records \(range.lowerBound) ..< \(range.upperBound) are not in the log, which ends at \(end)",
        location: .init(offset: range.lowerBound))
    }
    return RangeBuilder(range, unpackedBy: blocks.readers)
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
    do throws(LogError) { block = try self.block(holding: builder.offset) } catch {
      return .some(try builder.end(error))
    }
    guard let block, builder.take(block) else { return .some(try builder.end()) }
    return nil
  }
}
