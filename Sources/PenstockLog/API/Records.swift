/// One record with its own bytes.
public struct Record: Hashable, Sendable {
  /// The record's offset.
  public let offset: Offset
  /// When the log received it.
  public let appendTime: Timestamp
  /// The bytes as appended.
  public let bytes: [UInt8]
  /// The bytes as text; ill-formed UTF-8 is repaired.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Records in offset order. Each is copied out of its block; ``batches(maxRecords:maxBytes:)`` avoids the copy and
/// returns views into the shared blocks.
///
/// Throws a ``Gap`` (code `.gap`) where records are lost. A new iteration from the gap's end continues after it.
public struct Records: AsyncSequence, Sendable {
  public typealias Element = Record
  public typealias Failure = LogError

  let view: LogView
  let start: Position
  /// Nil to wait for more records.
  let end: Position?
  let readAhead: ReadAhead
  /// Keeps the log open, where this process writes it.
  let lifetime: LogLifetime?

  init(
    view: LogView, start: Position, end: Position?, readAhead: ReadAhead = .none, lifetime: LogLifetime? = nil
  ) {
    self.view = view
    self.start = start
    self.end = end
    self.readAhead = readAhead
    self.lifetime = lifetime
  }

  /// The same records, a batch at a time, without a copy.
  public func batches(maxRecords: Int = 10_000, maxBytes: Int = 4 << 20) -> Batches {
    Batches(records: self, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  /// An iterator at the first record of the range.
  public func makeAsyncIterator() -> Iterator { Iterator(batches: batches().makeAsyncIterator()) }

  /// Reads the records one by one.
  public struct Iterator: AsyncIteratorProtocol {
    var batches: Batches.Iterator
    private var pending: [Record] = []
    private var next = 0

    init(batches: Batches.Iterator) { self.batches = batches }

    /// The next record; nil at the end. Waits where the sequence follows the log. Without ``ReadAhead`` it blocks the
    /// thread that runs the task while it reads and decompresses a block.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(LogError) -> Record? {
      if next == pending.count {
        pending.removeAll(keepingCapacity: true)
        next = 0
        guard let batch = try await batches.next(isolation: actor) else { return nil }
        batch.forEachRecord {
          pending.append(Record(offset: $0.offset, appendTime: $0.appendTime, bytes: Array($0.bytes)))
        }
      }
      defer { next += 1 }
      return pending[next]
    }
  }
}

/// Records in offset order, a batch at a time.
public struct Batches: AsyncSequence, Sendable {
  public typealias Element = Batch
  public typealias Failure = LogError

  let records: Records
  let maxRecords: Int
  let maxBytes: Int

  /// An iterator at the first record of the range.
  public func makeAsyncIterator() -> Iterator { Iterator(self) }

  /// Reads the batches one by one.
  public struct Iterator: AsyncIteratorProtocol {
    private let source: Batches
    private var offset: Offset?
    private var end: Offset?
    /// Made with the first batch; its threads end with the iterator.
    private var ahead: ReadAheadReader?
    private var last: DecodedBlock?

    init(_ source: Batches) { self.source = source }

    /// The next batch; nil at the end. Waits where the sequence follows the log. Without ``ReadAhead`` it blocks the
    /// thread that runs the task while it reads and decompresses a block.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(LogError) -> Batch? {
      let view = source.records.view
      let first: Offset
      if let offset {
        first = offset
      } else {
        first = try view.offset(of: source.records.start)
        end = try source.records.end.map { (place) throws(LogError) in
          guard place.asEventTime != nil else { return try view.offset(of: place) }
          return try view.window(from: .offset(first), to: place, untimed: .skip).end
        }
        let threads = source.records.readAhead.threads
        if threads > 0 { ahead = ReadAheadReader(view, threads: threads) }
      }
      offset = first
      if let end, first >= end { return nil }
      // The number of remaining offsets may exceed an `Int`.
      let limit =
        end.map { Int(clamping: $0.rawValue - first.rawValue) }.map { Swift.min($0, source.maxRecords) }
        ?? source.maxRecords
      while true {
        if let batch = try await batch(from: first, maxRecords: limit, isolation: actor) {
          offset = batch.end
          return batch
        }
        // Reading ahead ends with the task, even when there are records left.
        if ahead != nil, Task.isCancelled { return nil }
        guard end == nil, await view.wait(past: first) else { return nil }
      }
    }

    private mutating func batch(
      from first: Offset, maxRecords: Int, isolation actor: isolated (any Actor)?
    ) async throws(LogError) -> Batch? {
      guard let ahead else {
        return try source.records.view.batch(from: first, maxRecords: maxRecords, maxBytes: source.maxBytes)
      }
      var builder = BatchBuilder(from: first, maxRecords: maxRecords, maxBytes: source.maxBytes)
      while true {
        do throws(LogError) {
          guard let block = try await block(holding: builder.offset, ahead, isolation: actor), builder.take(block)
          else {
            return builder.batch
          }
        } catch {
          if builder.isEmpty { throw error }
          return builder.batch
        }
      }
    }

    private mutating func block(
      holding offset: Offset, _ ahead: ReadAheadReader, isolation actor: isolated (any Actor)?
    ) async throws(LogError) -> DecodedBlock? {
      // The last batch may have ended within this block.
      if let last, last.baseOffset <= offset, offset < last.endOffset { return last }
      last = nil
      last = try await ahead.block(holding: offset)
      return last
    }
  }
}
