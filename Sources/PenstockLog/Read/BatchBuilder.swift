/// What a reader gathers, a block at a time. A pure value.
protocol BlockGatherer: Sendable {
  /// The next record.
  var offset: Offset { get }

  /// Takes what is wanted of the block that holds ``offset``. Returns whether the next block may follow.
  mutating func take(_ block: DecodedBlock) -> Bool

  /// What is gathered, when no block follows: nothing more is wanted, or the log ends. Nil: no record.
  func end() throws(LogError) -> Batch?

  /// What is gathered, when the next block cannot be read.
  func end(_ failure: LogError) throws(LogError) -> Batch?
}

/// Builds a batch up to two limits.
struct BatchBuilder: BlockGatherer {
  private var slices: BatchSlices
  private var records = 0
  private let maxRecords: Int
  private let maxBytes: Int
  private(set) var offset: Offset

  init(from first: Offset, maxRecords: Int, maxBytes: Int, unpackedBy readers: BlockReaders? = nil) {
    slices = BatchSlices(unpackedBy: readers)
    // A batch has at least one record, whatever limits a caller sets.
    self.maxRecords = max(1, maxRecords)
    self.maxBytes = max(1, maxBytes)
    offset = first
  }

  private var isEmpty: Bool { slices.slices.isEmpty }

  /// At least one record of the first block.
  mutating func take(_ block: DecodedBlock) -> Bool {
    let index = offset - block.baseOffset
    let count = block.prefixCount(
      from: index, maxRecords: maxRecords - records, maxBytes: maxBytes - slices.byteCount, atLeastOne: isEmpty)
    guard count > 0 else { return false }
    let slice = BlockSlice(block: block, indices: index..<(index + count))
    slices.append(slice)
    records += count
    offset = slice.end
    return records < maxRecords && offset == block.endOffset
  }

  func end() -> Batch? { isEmpty ? nil : Batch(slices: slices.slices) }

  /// A failure ends the batch before it.
  func end(_ failure: LogError) throws(LogError) -> Batch? {
    if isEmpty { throw failure }
    return end()
  }
}

/// Builds a batch of exactly the records of a range.
struct RangeBuilder: BlockGatherer {
  private var slices: BatchSlices
  private let range: Range<Offset>
  private(set) var offset: Offset

  init(_ range: Range<Offset>, unpackedBy readers: BlockReaders) {
    slices = BatchSlices(unpackedBy: readers)
    self.range = range
    offset = range.lowerBound
  }

  mutating func take(_ block: DecodedBlock) -> Bool {
    let upper = min(block.endOffset, range.upperBound)
    slices.append(BlockSlice(block: block, indices: (offset - block.baseOffset)..<(upper - block.baseOffset)))
    offset = upper
    return offset < range.upperBound
  }

  func end() throws(LogError) -> Batch? {
    guard offset == range.upperBound else {
      throw LogError(.outOfRange, "the log ended while it was read", location: .init(offset: offset))
    }
    return Batch(slices: slices.slices)
  }

  func end(_ failure: LogError) throws(LogError) -> Batch? { throw failure }
}
