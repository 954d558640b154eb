/// What a reader gathers, a block at a time. A pure value.
protocol BlockGatherer: Sendable {
  /// The next record.
  var offset: Offset { get }

  /// Takes what is wanted of the block that holds ``offset``. Returns whether the next block may follow.
  mutating func take(_ block: DecodedBlock) -> Bool

  /// Whether blocks may be taken unopened at all.
  var takesUnopened: Bool { get }

  /// Whether a block is taken unopened: it is wanted whole, and its records need not be read.
  ///
  /// - Parameter byteCount: Of its records; 0 where that is not known yet.
  func wantsUnopened(_ range: Range<Offset>, byteCount: Int) -> Bool

  /// Takes a block for which ``wantsUnopened(_:byteCount:)`` is true.
  mutating func take(unopened block: PackedBlock) -> Bool

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
  let takesUnopened: Bool
  private(set) var offset: Offset

  init(
    from first: Offset, maxRecords: Int, maxBytes: Int, unpackedBy readers: BlockReaders? = nil, unopened: Bool = false
  ) {
    slices = BatchSlices(unpackedBy: readers)
    takesUnopened = unopened
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

  func wantsUnopened(_ range: Range<Offset>, byteCount: Int) -> Bool {
    takesUnopened && range.lowerBound == offset && range.upperBound - range.lowerBound <= maxRecords - records
      && byteCount <= maxBytes - slices.byteCount
  }

  mutating func take(unopened block: PackedBlock) -> Bool {
    slices.append(BlockSlice(unopened: block))
    records += block.count
    offset = block.endOffset
    return records < maxRecords
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
  let takesUnopened: Bool
  private(set) var offset: Offset

  init(_ range: Range<Offset>, unpackedBy readers: BlockReaders, unopened: Bool = false) {
    slices = BatchSlices(unpackedBy: readers)
    self.range = range
    takesUnopened = unopened
    offset = range.lowerBound
  }

  mutating func take(_ block: DecodedBlock) -> Bool {
    let upper = min(block.endOffset, range.upperBound)
    slices.append(BlockSlice(block: block, indices: (offset - block.baseOffset)..<(upper - block.baseOffset)))
    offset = upper
    return offset < range.upperBound
  }

  func wantsUnopened(_ block: Range<Offset>, byteCount: Int) -> Bool {
    takesUnopened && block.lowerBound == offset && block.upperBound <= range.upperBound
  }

  mutating func take(unopened block: PackedBlock) -> Bool {
    slices.append(BlockSlice(unopened: block))
    offset = block.endOffset
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
