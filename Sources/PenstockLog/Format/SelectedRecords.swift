/// Records that were selected from a range of the log, copied out of their blocks. So a batch of a few records from a
/// long range holds none of its blocks.
package struct SelectedRecords: Sendable {
  private struct Entry {
    let offset: Offset
    let appendTime: Timestamp
    /// One past the record's last byte.
    let end: Int
  }
  private var bytes: [UInt8] = []
  private var entries: [Entry] = []

  package init() {}

  package var count: Int { entries.count }
  /// The records' bytes together.
  package var byteCount: Int { bytes.count }
  package var firstOffset: Offset? { entries.first?.offset }
  package var firstAppendTime: Timestamp? { entries.first?.appendTime }
  package var lastAppendTime: Timestamp? { entries.last?.appendTime }
  package func offset(at index: Int) -> Offset { entries[index].offset }

  /// Adds a record, whose bytes `render` appends. Offsets rise.
  package mutating func append(offset: Offset, appendTime: Timestamp, _ render: (inout [UInt8]) -> Void) {
    render(&bytes)
    entries.append(Entry(offset: offset, appendTime: appendTime, end: bytes.count))
  }

  package func forEachRecord<Failure: Error>(
    in indices: Range<Int>, _ body: (RecordView) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    bytes.withUnsafeBytes { bytes in
      var start = indices.lowerBound == 0 ? 0 : entries[indices.lowerBound - 1].end
      for entry in entries[indices] {
        let view = RecordView(
          offset: entry.offset, appendTime: entry.appendTime,
          bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<entry.end]))
        do throws(Failure) { try body(view) } catch {
          failure = error
          return
        }
        start = entry.end
      }
    }
    if let failure { throw failure }
  }
}
