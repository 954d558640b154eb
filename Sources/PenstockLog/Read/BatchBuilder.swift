/// Builds a batch, a block at a time. A pure value.
struct BatchBuilder {
  private var slices: BatchSlices
  private var records = 0
  private let maxRecords: Int
  private let maxBytes: Int
  /// The next record.
  private(set) var offset: Offset

  init(from first: Offset, maxRecords: Int, maxBytes: Int, unpackedBy readers: BlockReaders? = nil) {
    slices = BatchSlices(unpackedBy: readers)
    // A batch has at least one record, whatever limits a caller sets.
    self.maxRecords = max(1, maxRecords)
    self.maxBytes = max(1, maxBytes)
    offset = first
  }

  var isEmpty: Bool { slices.slices.isEmpty }
  var batch: Batch? { isEmpty ? nil : Batch(slices: slices.slices) }

  /// Takes what fits of the block that holds `offset`, at least one record of the first block. Returns whether the next
  /// may follow.
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
}
