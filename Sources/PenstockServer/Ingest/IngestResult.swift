package import PenstockEvents
package import PenstockLog

/// What a body holds.
package struct IngestResult: Sendable {
  /// The events, in order, byte for byte as they were sent.
  package fileprivate(set) var batch = RecordBatch()
  /// How many records the body has.
  package fileprivate(set) var records = 0
  /// What is wrong with those that are left out, by their numbers. Empty unless the rules say to leave them out.
  package fileprivate(set) var refused: [EventError] = []

  package init() {}

  package var accepted: Int { records - refused.count }

  /// Bytes of memory, more or less. What is wrong with a record is told in about 200 bytes.
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
