extension SegmentScanner {
  /// The block that holds `offset`, if its header lies in the neighbourhood and an intact one leads to it. Nil: the
  /// caller must use the index. Not for a sealed segment, whose blocks may begin anywhere.
  ///
  /// It proves no less than an index does. The header's checksum is seeded with the segment's salt, which no appender
  /// knows. The header must also name this segment, this very position, and offsets of this segment. The reader of the
  /// block proves the rest.
  ///
  /// One read of at most 68 KiB, and seldom one of 112 bytes.
  ///
  /// - Parameter offsets: The segment's own, to their final end.
  func block(
    holding offset: Offset, in nearby: ColdReadPlan.Neighbourhood, of offsets: Range<Offset>
  ) throws(FileSystemError) -> BlockHeader? {
    guard !header.isSealed, offsets.contains(offset) else { return nil }
    let page = UInt64(BlockFormat.alignment)
    let start = BlockFormat.alignedUp(nearby.range.lowerBound)
    let end = min(nearby.place, nearby.range.upperBound - 1) / page * page + page
    guard start < end else { return nil }
    let bytes = try fileSystem.readAll(file, count: Int(end - start), at: start)
    // Walk back to a block that begins at or before the record…
    for local in Swift.stride(from: bytes.count / BlockFormat.alignment - 1, through: 0, by: -1) {
      let place = local * BlockFormat.alignment
      guard
        let found = intactHeader(
          bytes[place..<(place + BlockFormat.headerSize)], at: start + UInt64(place), of: offsets),
        found.baseOffset <= offset
      else { continue }
      return try block(holding: offset, from: found, before: nearby.range.upperBound, of: offsets)
    }
    return nil
  }

  /// … and forward from there, block by block.
  private func block(
    holding offset: Offset, from first: BlockHeader, before end: UInt64, of offsets: Range<Offset>
  ) throws(FileSystemError) -> BlockHeader? {
    var block = first
    while block.endOffset <= offset {
      guard block.endPosition < end else { return nil }
      let front = try fileSystem.readAll(file, count: BlockFormat.headerSize, at: block.endPosition)
      guard front.count == BlockFormat.headerSize,
        let next = intactHeader(front[...], at: block.endPosition, of: offsets), next.baseOffset == block.endOffset
      else { return nil }
      block = next
    }
    return block
  }

  private func intactHeader(_ front: ArraySlice<UInt8>, at position: UInt64, of offsets: Range<Offset>) -> BlockHeader?
  {
    guard front.first == UInt8(truncatingIfNeeded: BlockFormat.skippableMagic),
      case .success(let found) = decode(front),
      found.position == position, found.segment == header.sequence, found.recordCount > 0,
      offsets.lowerBound <= found.baseOffset, found.endOffset <= offsets.upperBound
    else { return nil }
    return found
  }
}
