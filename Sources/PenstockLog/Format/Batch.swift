/// One record in a decoded block. Valid only inside the closure that received it.
public struct RecordView {
  /// The record's offset.
  public let offset: Offset
  /// When the log received it; never falls from one record to the next.
  public let appendTime: Timestamp
  /// The bytes as appended. Copy what must outlive the closure.
  public let bytes: UnsafeRawBufferPointer

  init(offset: Offset, appendTime: Timestamp, bytes: UnsafeRawBufferPointer) {
    self.offset = offset
    self.appendTime = appendTime
    self.bytes = bytes
  }
}

/// A range of the log and its records: all of them or, in a delivery with a selection, the selected ones. Read without
/// copying where it holds all: then it shares the decoded blocks. A large batch that a delivery holds keeps its blocks
/// compressed, and decodes one at a time on each read.
public struct Batch: Sendable {
  /// The first offset of the range.
  public let first: Offset
  /// One past the last offset of the range.
  public let end: Offset
  /// How many records it holds: fewer than `end - first` where a delivery selected some; then it may be none.
  public let count: Int
  /// The records' bytes together, without separators.
  public let byteCount: Int
  /// When the log received the first record that it holds or, when it holds none, the first of the range.
  public let firstAppendTime: Timestamp
  /// The blocks, in order, with the part of each that belongs to the batch; empty when ``selected`` is not nil.
  package let slices: [BlockSlice]
  /// The selected records; nil when it holds the whole range.
  package let selected: SelectedRecords?

  package init(slices: [BlockSlice]) {
    precondition(!slices.isEmpty, "a batch of a whole range has at least one record")
    self.slices = slices
    selected = nil
    first = slices[0].first
    end = slices[slices.count - 1].end
    count = end - first
    byteCount = slices.reduce(0) { $0 + $1.byteCount }
    firstAppendTime = slices[0].firstAppendTime
  }

  /// - Parameter rangeAppendTime: When the log received the first record of the range.
  package init(_ selected: SelectedRecords, of range: Range<Offset>, rangeAppendTime: Timestamp) {
    precondition(!range.isEmpty, "a batch has a range")
    slices = []
    self.selected = selected
    first = range.lowerBound
    end = range.upperBound
    count = selected.count
    byteCount = selected.byteCount
    firstAppendTime = selected.firstAppendTime ?? rangeAppendTime
  }

  /// Whether it has blocks that were never decompressed, for a reader that copies their frames.
  package var hasUnopenedBlocks: Bool { slices.contains { $0.isUnopened } }

  /// The offset of the record at an index, from 0 on.
  package func offset(at index: Int) -> Offset { selected?.offset(at: index) ?? first + index }

  /// Calls `body` with every record it holds, in offset order. No allocation, no copy, no reference counting per
  /// record.
  public func forEachRecord<Failure: Error>(
    _ body: (RecordView) throws(Failure) -> Void
  ) throws(Failure) {
    if let selected { return try selected.forEachRecord(in: 0..<selected.count, body) }
    for slice in slices { try slice.forEachRecord(body) }
  }
}
