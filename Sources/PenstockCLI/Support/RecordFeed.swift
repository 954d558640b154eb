import PenstockEvents
import PenstockLog

/// Turns input into batches of records: splits it, checks each record, and closes a batch when it is full. Pure.
///
/// A batch that a fault lies in is never handed on.
struct RecordFeed {
  /// The longest record, in bytes: what a log takes unless told otherwise.
  static let recordLimit = 16 << 20
  /// A batch becomes one block; a block is about this long, in bytes.
  private static let batchBytes = 1 << 20

  struct FullBatch {
    let batch: RecordBatch
    /// One past its last record's last byte in the input that was fed; a line's end may follow.
    let end: Int
  }

  private var splitter = NDJSONSplitter(maxLineBytes: Self.recordLimit)
  private let collector: Collector

  /// A class, because the splitter is changed while its lines are collected.
  private final class Collector {
    let validator: EventValidator?
    let maxRecords: Int
    let isKeeping: Bool
    var full: [FullBatch] = []
    /// Where the newest record of the open batch ends in the input.
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
      // Without a validator nobody has looked at its time.
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
  ///   - validator: nil to take any line.
  ///   - isKeeping: false to check alone.
  init(validator: EventValidator?, maxRecords: Int, isKeeping: Bool = true) {
    collector = Collector(validator, maxRecords, isKeeping: isKeeping)
  }

  /// Records taken so far.
  var records: Int { collector.records }
  /// The line at fault, counted from 1, where the fault is a record's.
  var lineAtFault: Int? { collector.lineAtFault }
  /// Bytes of a line whose end has not come yet.
  var unfinishedBytes: Int { splitter.unfinishedBytes }
  /// Whether a batch is begun and not full.
  var hasPendingBatch: Bool { !collector.open.isEmpty }

  mutating func feed(_ bytes: [UInt8]) throws(EventError) {
    let collector = collector
    try bytes.withUnsafeBufferPointer { (bytes) throws(EventError) in
      try splitter.feed(UnsafeRawBufferPointer(bytes)) { (record, line) throws(EventError) in
        try collector.take(record, number: line.record, line: line.number, position: line.position)
      }
    }
  }

  /// The input is over: a last line need not end with a line feed.
  mutating func finish() throws(EventError) {
    let collector = collector
    try splitter.finish { (record, line) throws(EventError) in
      try collector.take(record, number: line.record, line: line.number, position: line.position)
    }
    collector.close()
  }

  /// Takes a whole JSON array. Hands on nothing unless all of it is good.
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

  /// The batches that are full by now.
  func takeFull() -> [FullBatch] {
    defer { collector.full.removeAll(keepingCapacity: true) }
    return collector.full
  }

  /// Ends the batch that is begun, because nothing more is there at present.
  func closePendingBatch() { collector.close() }
}
