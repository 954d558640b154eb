import PenstockDelivery
import PenstockLog
import Testing

@testable import PenstockSinks

/// A batch in memory, cut into blocks of two records so that it has seams.
func makeBatch(_ records: [String], first: UInt64 = 0) -> Batch {
  var slices: [BlockSlice] = []
  for start in stride(from: 0, to: records.count, by: 2) {
    let part = records[start..<min(start + 2, records.count)]
    var payload: [UInt8] = []
    var ends: [UInt32] = []
    for record in part {
      payload += Array(record.utf8)
      ends.append(UInt32(payload.count))
      payload.append(UInt8(ascii: "\n"))
    }
    let block = DecodedBlock(
      baseOffset: Offset(first) + start, appendTime: Timestamp(nanoseconds: 0), payload: payload, ends: ends)
    slices.append(BlockSlice(block: block, indices: 0..<part.count))
  }
  return Batch(slices: slices)
}

func outline(_ batch: Batch, plannedAt: Timestamp = .fixed, cursor: String = "archive") -> BatchMetadata {
  BatchMetadata(
    logID: logID, cursor: cursor, first: batch.first, end: batch.end, byteCount: batch.byteCount,
    firstAppendTime: batch.firstAppendTime, plannedAt: plannedAt, closedBy: .records)
}

let logID = "0123456789abcdef0123456789abcdef"

/// The way a delivery goes: plan, prepare, and the intent made of both.
func makeDelivery(
  _ sink: some Sink, _ batch: Batch, plan: [UInt8]? = nil, at time: Timestamp = .fixed, attempt: Int = 1
) throws -> DeliveryRequest {
  let plan = try plan ?? sink.plan(outline(batch, plannedAt: time))
  let body = try sink.prepare(batch, plan: plan)
  let id = DeliveryID(
    logID: logID, cursor: "archive", first: batch.first, end: batch.end, contentDigest: body.contentDigest)
  let intent = Intent(
    id: id, first: batch.first, end: batch.end, contentDigest: body.contentDigest, plan: plan, createdAt: time)
  return DeliveryRequest(intent: intent, body: body, logID: logID, cursor: "archive", attempt: attempt)
}

extension Timestamp {
  /// 2026-02-28T23:59:58.5Z
  static let fixed = Timestamp(nanoseconds: 1_772_323_198_500_000_000)
}

struct FixedClock: WallClock {
  var time = Timestamp.fixed
  func now() -> Timestamp { time }
}

func expectSinkError(
  containing part: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: SinkError.self, sourceLocation: sourceLocation) { try body() }
  #expect(error?.description.contains(part) == true, "\(error.debugDescription)", sourceLocation: sourceLocation)
}

extension DeliveryOutcome {
  var isRetry: Bool { if case .retry = self { true } else { false } }
  var isRejected: Bool { if case .rejected = self { true } else { false } }
  var isRefused: Bool { if case .refused = self { true } else { false } }
  var isDisabled: Bool { if case .disabled = self { true } else { false } }
  var isConflict: Bool { if case .conflict = self { true } else { false } }
  var isDelivered: Bool { if case .delivered = self { true } else { false } }
  var words: String {
    switch self {
    case .delivered(let text), .retry(let text, _), .rejected(let text), .refused(let text), .disabled(let text),
      .conflict(let text):
      text
    }
  }
}
