/// Puts a batch together, a block at a time. A pure value.
struct BatchBuilder {
  private var slices: [BlockSlice] = []
  private var records = 0
  private var bytes = 0
  private let maxRecords: Int
  private let maxBytes: Int
  /// The record that comes next.
  private(set) var offset: Offset

  init(from first: Offset, maxRecords: Int, maxBytes: Int) {
    precondition(maxRecords > 0 && maxBytes > 0)
    self.maxRecords = maxRecords
    self.maxBytes = maxBytes
    offset = first
  }

  var isEmpty: Bool { slices.isEmpty }
  var batch: Batch? { slices.isEmpty ? nil : Batch(slices: slices) }

  /// Takes what fits of the block that holds `offset`, at least one record of the first. Returns whether the next may follow.
  mutating func take(_ block: DecodedBlock) -> Bool {
    let index = offset - block.baseOffset
    let count = block.prefixCount(
      from: index, maxRecords: maxRecords - records, maxBytes: maxBytes - bytes, atLeastOne: slices.isEmpty)
    guard count > 0 else { return false }
    let slice = BlockSlice(block: block, indices: index..<(index + count))
    slices.append(slice)
    records += count
    bytes += slice.byteCount
    offset = slice.end
    return records < maxRecords && offset == block.endOffset
  }
}
