/// Records on their way into the log: what one append takes, all or nothing.
///
/// The records lie one after the other in one buffer, so building a batch costs no allocation per record.
public struct RecordBatch: Sendable {
  /// Every record followed by one line feed, as a block holds them.
  package private(set) var payload: [UInt8] = []
  package private(set) var count = 0
  /// Whether some record contains a line feed, so that lengths must be written down.
  package private(set) var containsLineFeed = false
  /// For each record, one past its last byte in `payload`; kept only when `containsLineFeed`.
  private var recordedEnds: [UInt32] = []
  package private(set) var longestRecord = 0
  /// Which record that is, counted from 0; the first of several.
  package private(set) var longestIndex = 0
  /// The earliest and latest event time, where the caller knows them; nanoseconds since 1970.
  package private(set) var eventTimes: ClosedRange<Int64>?
  /// Whether the caller told the event time of every record, or that it has none.
  package private(set) var tellsEventTimes = true
  /// Whose append it is, when it is a producer's.
  package var producer: ProducerMark?

  public init() {}

  /// Makes room for `bytes` bytes of records.
  public init(reservingBytes bytes: Int) { payload.reserveCapacity(bytes) }

  public var isEmpty: Bool { count == 0 }

  /// The records' bytes together, without separators.
  public var byteCount: Int { payload.count - count }

  /// Adds a record whose event time the caller does not know; copies its bytes. A window of event times then has to
  /// look at the record itself, as at every other of its block. O(bytes).
  public mutating func append(_ record: UnsafeRawBufferPointer) {
    tellsEventTimes = false
    add(record)
  }

  /// Adds a record; copies its bytes. The event time is what a search by event time finds, and must be the record's
  /// own; nil says that the record has none. It does not change what is stored. O(bytes).
  public mutating func append(_ record: UnsafeRawBufferPointer, eventTime: Timestamp?) {
    add(record)
    if let time = eventTime?.nanoseconds {
      eventTimes = eventTimes.map { min($0.lowerBound, time)...max($0.upperBound, time) } ?? time...time
    }
  }

  private mutating func add(_ record: UnsafeRawBufferPointer) {
    if Bytes.containsLineFeed(record), !containsLineFeed {
      // Until now line feeds marked the ends; from here on they are written down, the earlier ones too.
      recordedEnds = payload.withUnsafeBytes { Bytes.lineFeeds(in: $0, expecting: count) }
      containsLineFeed = true
    }
    payload.append(contentsOf: record)
    if containsLineFeed { recordedEnds.append(UInt32(payload.count)) }
    payload.append(UInt8(ascii: "\n"))
    if record.count > longestRecord { (longestRecord, longestIndex) = (record.count, count) }
    count += 1
  }

  /// Adds a record whose event time the caller does not know; copies its bytes.
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

  /// Adds the UTF-8 bytes of `record`, whose event time the caller does not know.
  public mutating func append(_ record: String) { append(record.utf8) }

  /// Adds the UTF-8 bytes of `record`. With nil the record has no event time.
  public mutating func append(_ record: String, eventTime: Timestamp?) {
    append(record.utf8, eventTime: eventTime)
  }

  /// Forgets the records and keeps the room.
  public mutating func removeAll() {
    payload.removeAll(keepingCapacity: true)
    recordedEnds.removeAll(keepingCapacity: true)
    count = 0
    containsLineFeed = false
    (longestRecord, longestIndex) = (0, 0)
    eventTimes = nil
    tellsEventTimes = true
  }

  /// For each record, one past its last byte in `payload`.
  package var ends: [UInt32] {
    containsLineFeed ? recordedEnds : payload.withUnsafeBytes { Bytes.lineFeeds(in: $0, expecting: count) }
  }
}
