public import PenstockLog

/// The dead letters of one cursor as a source of records, so that a ``Delivery`` can send them to a destination again.
/// It returns the original bytes, in the order in which the letters were written. Offsets are the letters' numbers.
///
/// ```swift
/// let letters = DeadLetters(in: directory)
/// if let source = try await letters.source(of: "billing") {
///   let delivery = Delivery(from: try await source.cursor(named: "again"), source: source, to: sink)
///   try await delivery.run(untilCaughtUpWith: nil)
///   source.close()
/// }
/// ```
///
/// ``Redelivery`` does this, and reports what was rejected again. The cursor is kept with the letters, so a redelivery
/// continues where it stopped. Retention keeps the letters that the cursor has not passed. Batches have ids of their
/// own, not those of the rejected deliveries.
public final class DeadLetterSource: RecordSource {
  private let reader: LogReader

  init(_ reader: LogReader) { self.reader = reader }

  public var logID: String { reader.logID }

  /// One past the newest letter on stable storage.
  public var durableEnd: Offset { get async { await reader.durableEnd } }

  /// The number of the oldest letter.
  var first: Offset { reader.first }

  /// Takes the cursor of a redelivery. Creates it at the oldest letter if there is none of that name.
  public func cursor(named name: String) async throws(LogError) -> Cursor { try await reader.cursor(named: name) }

  public func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    guard let letters = try await reader.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes) else {
      return nil
    }
    return try Self.originals(letters)
  }

  public func records(in range: Range<Offset>) async throws(LogError) -> Batch {
    try Self.originals(try await reader.records(in: range))
  }

  public func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await reader.waitForRecords(past: offset, timeout: timeout)
  }

  /// Closes the letters and the cursor.
  public func close() { reader.close() }

  /// Calls `body` with each letter until it returns false.
  static func forEachLetter(
    of reader: LogReader, in range: Range<Offset>, _ body: (Offset, DeadLetter) -> Bool
  ) async throws(LogError) {
    var next = range.lowerBound
    var goesOn = true
    while goesOn, next < range.upperBound {
      let left = range.upperBound - next
      guard let letters = try await reader.records(from: next, maxRecords: left, maxBytes: 1 << 20) else { return }
      try letters.forEachRecord { (record) throws(LogError) in
        if goesOn { goesOn = body(record.offset, try letter(record)) }
      }
      next = letters.end
    }
  }

  private static func letter(_ record: RecordView) throws(LogError) -> DeadLetter {
    do throws(LogError) { return try DeadLetter(decoding: Array(record.bytes)) } catch {
      throw LogError(error.code, error.message, location: .init(offset: record.offset))
    }
  }

  /// One block for each letter, because each has the append time of its own record.
  private static func originals(_ letters: Batch) throws(LogError) -> Batch {
    var slices: [BlockSlice] = []
    try letters.forEachRecord { (record) throws(LogError) in
      let letter = try letter(record)
      let block = DecodedBlock(
        baseOffset: record.offset, appendTime: letter.appendTime, payload: letter.record + [UInt8(ascii: "\n")],
        ends: [UInt32(letter.record.count)])
      slices.append(BlockSlice(block: block, indices: 0..<1))
    }
    return Batch(slices: slices)
  }
}
