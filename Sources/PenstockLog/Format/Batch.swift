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

/// A contiguous range of records, read without copying: the batch shares the decoded blocks that hold them. A large
/// batch that a delivery holds keeps its blocks compressed, and decodes one at a time on each read.
public struct Batch: Sendable {
  /// The first record's offset.
  public let first: Offset
  /// One past the last record's offset.
  public let end: Offset
  /// The records' bytes together, without separators.
  public let byteCount: Int
  /// The blocks, in order, with the part of each that belongs to the batch.
  package let slices: [BlockSlice]

  /// How many records.
  public var count: Int { end - first }
  /// When the log received the first record.
  public var firstAppendTime: Timestamp { slices.first?.firstAppendTime ?? Timestamp(nanoseconds: 0) }

  package init(slices: [BlockSlice]) {
    precondition(!slices.isEmpty, "a batch has at least one record")
    self.slices = slices
    first = slices[0].first
    end = slices[slices.count - 1].end
    byteCount = slices.reduce(0) { $0 + $1.byteCount }
  }

  /// Calls `body` with every record in offset order. No allocation, no copy, no reference counting per record.
  public func forEachRecord<Failure: Error>(
    _ body: (RecordView) throws(Failure) -> Void
  ) throws(Failure) {
    for slice in slices { try slice.forEachRecord(body) }
  }
}
