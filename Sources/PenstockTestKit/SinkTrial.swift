import PenstockDelivery
import PenstockLog

/// The records a sink is checked with, once in one block and once with a block for each.
struct SinkHarness: Sendable {
  let whole: InMemorySource
  let pieces: InMemorySource
  /// What was rendered for the trial before.
  let lastBody = AsyncCondition<PreparedBody?>(nil)

  init(records: [[UInt8]]) {
    whole = InMemorySource()
    pieces = InMemorySource()
    whole.append(records)
    for record in records { pieces.append([record]) }
  }

  /// The records of a range as a batch.
  func trial(from first: Int = 0, end: Int) async throws(LogError) -> SinkTrial {
    let range = (Offset.zero + first)..<(Offset.zero + end)
    return SinkTrial(
      bench: self, batch: try await whole.records(in: range), batchInPieces: try await pieces.records(in: range))
  }
}

/// One batch that a sink is checked with.
struct SinkTrial: Sendable {
  let bench: SinkHarness
  let batch: Batch
  let batchInPieces: Batch

  var outline: BatchMetadata {
    BatchMetadata(
      logID: bench.whole.logID, cursor: "sink-conformance-\(batch.count)", first: batch.first, end: batch.end,
      byteCount: batch.byteCount, firstAppendTime: batch.firstAppendTime, plannedAt: batch.firstAppendTime,
      closedBy: .records)
  }

  var longestOutline: BatchMetadata {
    BatchMetadata(
      logID: bench.whole.logID, cursor: String(repeating: "c", count: 64), first: Offset(.max - 1), end: Offset(.max),
      byteCount: .max, firstAppendTime: batch.firstAppendTime, plannedAt: batch.firstAppendTime, closedBy: .records)
  }

  func intent(plan: [UInt8], body: PreparedBody) -> Intent {
    Intent(
      id: DeliveryID(
        logID: outline.logID, cursor: outline.cursor, first: batch.first, end: batch.end,
        contentDigest: body.contentDigest),
      first: batch.first, end: batch.end, contentDigest: body.contentDigest, plan: plan,
      createdAt: batch.firstAppendTime)
  }
}
