import PenstockEvents
import PenstockLog

/// Splits input into records, validates them, and groups them into batches. Does no I/O.
///
/// A batch with an invalid record is never returned.
struct RecordFeed {
  /// The maximum record length in bytes: the default limit of a log.
  static let recordLimit = 16 << 20
  /// The target size of a batch in bytes: a batch becomes one block.
  private static let batchBytes = 1 << 20

  struct FullBatch {
    let batch: RecordBatch
    /// The position in the input after the last byte of the last record; a line end may follow.
    let end: Int
  }

  private var splitter = NDJSONSplitter(maxLineBytes: Self.recordLimit)
  private let collector: Collector

  /// A class, because the splitter's closure changes it while the splitter itself changes.
  private final class Collector {
    let validator: EventValidator?
    let maxRecords: Int
    let isKeeping: Bool
    var full: [FullBatch] = []
    /// The end of the open batch's newest record in the input.
    var end = 0
    var open = RecordBatch()
    var records = 0
    var lineAtFault: Int?

    init(_ validator: EventValidator?, _ maxRecords: Int, isKeeping: Bool) {
      self.validator = validator
      self.maxRecords = maxRecords
      self.isKeeping = isKeeping
    }

    func take(
      _ record: UnsafeRawBufferPointer, number: Int, line: Int?, position: Int
    ) throws(EventError) {
      var time: Timestamp?
      if let validator {
        do throws(EventError) {
          time = try validator.validate(record).eventTime.map { Timestamp(nanoseconds: $0) }
        } catch {
          lineAtFault = line
          throw error.inRecord(number, startingAt: position)
        }
      }
      records += 1
      guard isKeeping else { return }
      if !open.isEmpty, open.byteCount + record.count > RecordFeed.batchBytes { close() }
      // Without a validator the event time is unknown.
      if validator == nil { open.append(record) } else { open.append(record, eventTime: time) }
      end = position + record.count
      if open.count == maxRecords { close() }
    }

    func close() {
      guard !open.isEmpty else { return }
      full.append(FullBatch(batch: open, end: end))
      open = RecordBatch(reservingBytes: min(open.byteCount * 9 / 8, RecordFeed.batchBytes))
    }
  }

  /// - Parameters:
  ///   - validator: Nil accepts any line.
  ///   - isKeeping: False only validates, and returns no batches.
  init(validator: EventValidator?, maxRecords: Int, isKeeping: Bool = true) {
    collector = Collector(validator, maxRecords, isKeeping: isKeeping)
  }

  /// The number of records so far.
  var records: Int { collector.records }
  /// The line of an invalid record, counted from 1.
  var lineAtFault: Int? { collector.lineAtFault }
  /// Bytes of the last line, if its end is missing.
  var unfinishedBytes: Int { splitter.unfinishedBytes }
  /// Whether the open batch has records.
  var hasPendingBatch: Bool { !collector.open.isEmpty }

  mutating func feed(_ bytes: [UInt8]) throws(EventError) {
    let collector = collector
    try bytes.withUnsafeBufferPointer { (bytes) throws(EventError) in
      try splitter.feed(UnsafeRawBufferPointer(bytes)) { (record, line) throws(EventError) in
        try collector.take(record, number: line.record, line: line.number, position: line.position)
      }
    }
  }

  /// Ends the input. The last line needs no line feed.
  mutating func finish() throws(EventError) {
    let collector = collector
    try splitter.finish { (record, line) throws(EventError) in
      try collector.take(record, number: line.record, line: line.number, position: line.position)
    }
    collector.close()
  }

  /// Splits one JSON array. Throws before it returns any batch if a record is invalid.
  func feed(array: [UInt8]) throws(EventError) {
    let splitter = JSONArraySplitter(maxBodyBytes: .max, maxRecordBytes: Self.recordLimit)
    try array.withUnsafeBufferPointer { (bytes) throws(EventError) in
      let bytes = UnsafeRawBufferPointer(bytes)
      try splitter.split(bytes) { (range, number) throws(EventError) in
        let record = UnsafeRawBufferPointer(rebasing: bytes[range])
        try collector.take(record, number: number, line: nil, position: range.lowerBound)
      }
    }
    collector.close()
  }

  /// Returns the closed batches, and removes them.
  func takeFull() -> [FullBatch] {
    defer { collector.full.removeAll(keepingCapacity: true) }
    return collector.full
  }

  /// Closes the open batch, because no more input is available now.
  func closePendingBatch() { collector.close() }
}
