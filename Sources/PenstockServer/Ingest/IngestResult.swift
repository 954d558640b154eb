package import PenstockEvents
package import PenstockLog

/// The decoded content of a body.
package struct IngestResult: Sendable {
  /// The valid events, in order, byte for byte as the client sent them.
  package fileprivate(set) var batch = RecordBatch()
  /// The number of records in the body, with the invalid ones.
  package fileprivate(set) var records = 0
  /// The errors of the records that are left out, by record number. Empty when the rules reject the body instead.
  package fileprivate(set) var refused: [EventError] = []

  package init() {}

  package var accepted: Int { records - refused.count }

  /// Bytes of memory, approximately. One error takes about 200 bytes.
  package var heldBytes: Int { batch.byteCount + batch.count * 16 + refused.count * 256 }
}

extension IngestResult {
  mutating func reserve(bytes: Int) { batch = RecordBatch(reservingBytes: bytes) }

  mutating func makeRoom(_ rules: IngestRules, at position: Int) throws(EventError) {
    guard records == rules.maxEvents else { return }
    throw EventError(.tooManyRecords, "the body has more than \(rules.maxEvents) records", position: position)
  }

  mutating func accept(_ record: UnsafeRawBufferPointer, _ summary: EventSummary) {
    batch.append(record, eventTime: summary.eventTime.map { Timestamp(nanoseconds: $0) })
    records += 1
  }

  mutating func refuse(_ error: EventError, _ rules: IngestRules) throws(EventError) {
    if rules.onError == .reject { throw error }
    records += 1
    refused.append(error)
  }
}
