import PenstockEvents
import PenstockLog

/// Iterates over the rows of a batch, which is selected already: one block at a time, or a piece of what was copied.
struct RowIterator: Sendable {
  private let batch: Batch
  private var renderer = NDJSONRenderer()
  /// The next block, or the next selected record.
  private var next = 0
  private let acceptsCompressedFrames: Bool
  /// A smaller frame compresses much worse than a large one, so its records are compressed again.
  static let leastCopied = PackedBlock.leastUnopened
  private static let pieceRecords = 4_096

  init(batch: Batch, _ plan: ExportPlan) {
    self.batch = batch
    acceptsCompressedFrames = plan.acceptsCompressedFrames
  }

  /// The frame to copy for these records, if any.
  static func copiedFrame(_ slice: BlockSlice) -> [UInt8]? {
    slice.payloadCount >= leastCopied ? slice.frame : nil
  }

  /// Advances past the next block if its frame is copied, and returns it.
  mutating func nextCopied() -> BlockSlice? {
    guard acceptsCompressedFrames, next < batch.slices.count, Self.copiedFrame(batch.slices[next]) != nil else {
      return nil
    }
    defer { next += 1 }
    return batch.slices[next]
  }

  /// Appends the next rows; false at the end.
  mutating func next(_ output: inout [UInt8]) -> Bool {
    let count = batch.selected?.count ?? batch.slices.count
    guard next < count else { return false }
    if next == 0 { renderer.begin(&output) }
    if let selected = batch.selected {
      let piece = next..<min(count, next + Self.pieceRecords)
      selected.forEachRecord(in: piece) { renderer.append($0.bytes, to: &output) }
      next = piece.upperBound
    } else {
      batch.slices[next].forEachRecord { renderer.append($0.bytes, to: &output) }
      next += 1
    }
    if next == count { renderer.finish(&output) }
    return true
  }
}
