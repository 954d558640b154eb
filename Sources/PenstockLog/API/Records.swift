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

    /// The next record; nil at the end. Waits where the sequence follows the log. A cancelled task gets nil where the
    /// sequence follows the log. Otherwise it gets what is in memory, and then `.cancelled`.
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

    /// The next batch; nil at the end. Waits where the sequence follows the log. A cancelled task gets nil where the
    /// sequence follows the log. Otherwise it gets what is in memory, and then `.cancelled`.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(LogError) -> Batch? {
      do throws(LogError) { return try await read(isolation: actor) } catch {
        guard error.code == .cancelled, source.records.end == nil else { throw error }
        return nil
      }
    }

    private mutating func read(isolation actor: isolated (any Actor)?) async throws(LogError) -> Batch? {
      let view = source.records.view
      let first: Offset
      if let offset {
        first = offset
      } else {
        first = try await view.fetchOffset(of: source.records.start)
        if let place = source.records.end { end = try await Self.end(at: place, from: first, view) }
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
        // Reading ahead ends with the task. A caller must not take that for the end of the range.
        if ahead != nil, Task.isCancelled { throw LogError(.cancelled, "the task was cancelled before the end") }
        guard end == nil, await view.wait(past: first) else { return nil }
      }
    }

    private static func end(at place: Position, from first: Offset, _ view: LogView) async throws(LogError) -> Offset {
      guard place.asEventTime != nil else { return try await view.fetchOffset(of: place) }
      return try await view.offload { () throws(LogError) in
        try view.window(from: .offset(first), to: place, untimed: .skip).end
      }
    }

    private mutating func batch(
      from first: Offset, maxRecords: Int, isolation actor: isolated (any Actor)?
    ) async throws(LogError) -> Batch? {
      let view = source.records.view
      guard let ahead else {
        var builder = BatchBuilder(
          from: first, maxRecords: maxRecords, maxBytes: source.maxBytes, unpackedBy: view.blocks.readers)
        // Here, and not in an asynchronous call: that would leave the caller's actor for what is in memory.
        if let batch = try view.gatherFromMemory(&builder) { return batch }
        return try await view.fetch(builder)
      }
      var builder = BatchBuilder(from: first, maxRecords: maxRecords, maxBytes: source.maxBytes)
      while true {
        do throws(LogError) {
          guard let block = try await block(holding: builder.offset, ahead, isolation: actor), builder.take(block)
          else {
            return builder.end()
          }
        } catch {
          return try builder.end(error)
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
