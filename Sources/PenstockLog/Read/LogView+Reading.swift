extension LogView {
  /// The records from `first` on, up to both limits, at least one; nil at the end. It throws a gap at `first`; a later
  /// gap ends the batch. Blocks the calling thread.
  package func batch(from first: Offset, maxRecords: Int, maxBytes: Int) throws(LogError) -> Batch? {
    var builder = BatchBuilder(from: first, maxRecords: maxRecords, maxBytes: maxBytes, unpackedBy: blocks.readers)
    while true {
      do throws(LogError) {
        guard let block = try block(holding: builder.offset), builder.take(block) else { return builder.batch }
      } catch {
        if builder.isEmpty { throw error }
        return builder.batch
      }
    }
  }

  /// From now on decoded blocks keep their frames; see ``DecodedBlock/frame``.
  package func retainCompressedFrames() { blocks.retainCompressedFrames() }

  /// Exactly the records of `range`, which must not be empty. Blocks the calling thread.
  package func batch(in range: Range<Offset>) throws(LogError) -> Batch {
    guard !range.isEmpty, range.upperBound <= end else {
      throw LogError(
        .outOfRange, "records \(range.lowerBound) ..< \(range.upperBound) are not in the log, which ends at \(end)",
        location: .init(offset: range.lowerBound))
    }
    var slices = BatchSlices(unpackedBy: blocks.readers)
    var offset = range.lowerBound
    while offset < range.upperBound {
      guard let block = try block(holding: offset) else {
        throw LogError(.outOfRange, "the log ended while it was read", location: .init(offset: offset))
      }
      let upper = min(block.endOffset, range.upperBound)
      slices.append(BlockSlice(block: block, indices: (offset - block.baseOffset)..<(upper - block.baseOffset)))
      offset = upper
    }
    return Batch(slices: slices.slices)
  }
}
