/// Puts a batch together, a block at a time. A pure value.
struct BatchBuilder {
  private var slices: BatchSlices
  private var records = 0
  private let maxRecords: Int
  private let maxBytes: Int
  /// The record that comes next.
  private(set) var offset: Offset

  init(from first: Offset, maxRecords: Int, maxBytes: Int, unpackedBy readers: BlockReaders? = nil) {
    precondition(maxRecords > 0 && maxBytes > 0)
    slices = BatchSlices(unpackedBy: readers)
    self.maxRecords = maxRecords
    self.maxBytes = maxBytes
    offset = first
  }

  var isEmpty: Bool { slices.slices.isEmpty }
  var batch: Batch? { isEmpty ? nil : Batch(slices: slices.slices) }

  /// Takes what fits of the block that holds `offset`, at least one record of the first. Returns whether the next may follow.
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
