/// The records of one append, all or nothing.
///
/// The records lie one after the other in one buffer, so building a batch costs no allocation per record. No method
/// blocks.
public struct RecordBatch: Sendable {
  /// Every record followed by one line feed, as in a block.
  package private(set) var payload: [UInt8] = []
  package private(set) var count = 0
  /// Whether some record contains a line feed, so that lengths must be stored.
  private(set) var containsLineFeed = false
  /// For each record, one past its last byte in `payload`; kept only when `containsLineFeed`.
  private var recordedEnds: [UInt32] = []
  private(set) var longestRecord = 0
  /// The index of that record; the first of several.
  private(set) var longestIndex = 0
  /// The earliest and latest event time, where the caller knows them; nanoseconds since 1970.
  private(set) var eventTimes: ClosedRange<Int64>?
  /// Whether the caller gave the event time of every record, or said that it has none.
  private(set) var knowsEventTimes = true
  /// The producer of the append, if it has one.
  package var producer: ProducerMark?

  /// A batch without records.
  public init() {}

  /// Reserves memory for `bytes` bytes of records.
  public init(reservingBytes bytes: Int) { payload.reserveCapacity(bytes) }

  /// Whether the batch has no record.
  public var isEmpty: Bool { count == 0 }

  /// The records' bytes together, without separators.
  public var byteCount: Int { payload.count - count }

  /// Adds a record of unknown event time; copies its bytes. A window of event times must then read the record itself,
  /// and every other of its block. O(bytes).
  public mutating func append(_ record: UnsafeRawBufferPointer) {
    knowsEventTimes = false
    add(record)
  }

  /// Adds a record; copies its bytes. A search by event time finds `eventTime`, so it must be the record's own; nil:
  /// the record has none. It does not change the stored bytes. O(bytes).
  public mutating func append(_ record: UnsafeRawBufferPointer, eventTime: Timestamp?) {
    add(record)
    if let time = eventTime?.nanoseconds {
      eventTimes = eventTimes.map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
    }
  }

  private mutating func add(_ record: UnsafeRawBufferPointer) {
    if Bytes.containsLineFeed(record), !containsLineFeed {
      // Until now line feeds marked the ends. From here on the ends are stored, including the earlier ones.
      recordedEnds = payload.withUnsafeBytes { Bytes.lineFeeds(in: $0, expecting: count) }
      containsLineFeed = true
    }
    payload.append(contentsOf: record)
    if containsLineFeed { recordedEnds.append(UInt32(payload.count)) }
    payload.append(UInt8(ascii: "\n"))
    if record.count > longestRecord { (longestRecord, longestIndex) = (record.count, count) }
    count += 1
  }

  /// Adds a record of unknown event time; copies its bytes.
  public mutating func append(_ record: some Sequence<UInt8>) {
    let done: Void? = record.withContiguousStorageIfAvailable { append(UnsafeRawBufferPointer($0)) }
    if done == nil { Array(record).withUnsafeBytes { append($0) } }
  }

  /// Adds a record; copies its bytes. With nil the record has no event time.
  public mutating func append(_ record: some Sequence<UInt8>, eventTime: Timestamp?) {
    let done: Void? = record.withContiguousStorageIfAvailable {
      append(UnsafeRawBufferPointer($0), eventTime: eventTime)
    }
    if done == nil { Array(record).withUnsafeBytes { append($0, eventTime: eventTime) } }
  }

  /// Adds the UTF-8 bytes of `record`, whose event time is unknown.
  public mutating func append(_ record: String) { append(record.utf8) }

  /// Adds the UTF-8 bytes of `record`. With nil the record has no event time.
  public mutating func append(_ record: String, eventTime: Timestamp?) {
    append(record.utf8, eventTime: eventTime)
  }

  /// Removes the records and keeps the memory.
  public mutating func removeAll() {
    payload.removeAll(keepingCapacity: true)
    recordedEnds.removeAll(keepingCapacity: true)
    count = 0
    containsLineFeed = false
    (longestRecord, longestIndex) = (0, 0)
    eventTimes = nil
    knowsEventTimes = true
  }

  /// For each record, one past its last byte in `payload`.
  var ends: [UInt32] {
    containsLineFeed ? recordedEnds : payload.withUnsafeBytes { Bytes.lineFeeds(in: $0, expecting: count) }
  }
}
