/// A block's entry in the index: its position, and the header's fields that searches need.
package struct BlockEntry: Hashable, Sendable {
  package let position: UInt64
  package let baseOffset: Offset
  /// Of the block's first record.
  let appendTime: Timestamp
  let eventTimes: ClosedRange<Int64>?
  private let records: UInt32
  private let front: UInt32
  private let stored: UInt32
  private var raw: UInt32
  let flags: UInt16

  package var count: Int { Int(records) }
  /// The skippable frame's bytes.
  package var frontLength: Int { Int(front) }
  /// The zstd frame's bytes.
  package var storedLength: Int { Int(stored) }
  /// What it decompresses to; 0 where the index does not hold it.
  var rawLength: Int {
    get { Int(raw) }
    set { raw = UInt32(clamping: newValue) }
  }
  package var length: Int { frontLength + storedLength }
  package var endOffset: Offset { baseOffset + count }
  package var endPosition: UInt64 { position + UInt64(length) }
  /// Whether records of the block were appended at several times, of which `appendTime` is the first.
  var hasAppendTimes: Bool { flags & BlockFormat.appendTimesFlag != 0 }

  /// Whether every append of the block gave its event times: then ``eventTimes`` covers every record that has one.
  var knowsEventTimes: Bool { flags & BlockFormat.eventTimesKnownFlag != 0 }

  package init(_ header: BlockHeader) {
    position = header.position
    baseOffset = header.baseOffset
    appendTime = header.appendTime
    eventTimes = header.eventTimes
    records = UInt32(clamping: header.recordCount)
    front = UInt32(clamping: header.frontLength)
    stored = UInt32(clamping: header.storedLength)
    raw = UInt32(clamping: header.rawLength)
    flags = header.flags
  }

  /// From an index, which does not hold ``rawLength``.
  init(
    position: UInt64, baseOffset: Offset, records: UInt32, front: UInt32, stored: UInt32, flags: UInt16,
    appendTime: Timestamp, eventTimes: ClosedRange<Int64>?
  ) {
    self.position = position
    self.baseOffset = baseOffset
    self.appendTime = appendTime
    self.eventTimes = eventTimes
    self.records = records
    self.front = front
    self.stored = stored
    self.flags = flags
    raw = 0
  }

  /// Whether both describe one block. ``rawLength`` may be unknown in one of them.
  func isSame(as other: BlockEntry) -> Bool {
    position == other.position && length == other.length && baseOffset == other.baseOffset && count == other.count
  }
}

extension [BlockEntry] {
  /// The block that holds `offset`, or the index of the first one after it. O(log blocks).
  func search(_ offset: Offset) -> (found: BlockEntry?, next: Int) {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    if low > 0, offset < self[low - 1].endOffset { return (self[low - 1], low) }
    return (nil, low)
  }
}

extension [BlockEntry] {
  /// The latest event time for the header of the next segment; these entries are all blocks of the segment with
  /// `header`.
  func latestEventTime(after header: SegmentHeader) -> Int64? {
    header.latestEventTime.map { reduce($0) { Swift.max($0, $1.eventTimes?.upperBound ?? .min) } }
  }
}
