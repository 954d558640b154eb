/// One record with bytes of its own.
public struct Record: Hashable, Sendable {
  public let offset: Offset
  /// When the log took it.
  public let appendTime: Timestamp
  /// The bytes as appended.
  public let bytes: [UInt8]
  /// The bytes as text; ill-formed UTF-8 is repaired.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Records in offset order. Each is copied out of its block; where that is too dear, ``batches(maxRecords:maxBytes:)`` gives
/// views into the shared blocks.
///
/// A ``Gap`` is thrown (code `.gap`), once, where records are lost; iterating again from its end goes on behind it.
public struct Records: AsyncSequence, Sendable {
  public typealias Element = Record
  public typealias Failure = LogError

  let view: LogView
  let start: Position
  /// Nil to wait for more.
  let end: Position?
  /// Of the log that is read, where this process writes it.
  var keeper: LogKeeper?

  /// The same records by the batch, without a copy.
  public func batches(maxRecords: Int = 10_000, maxBytes: Int = 4 << 20) -> Batches {
    Batches(records: self, maxRecords: maxRecords, maxBytes: maxBytes)
  }

  public func makeAsyncIterator() -> Iterator { Iterator(batches: batches().makeAsyncIterator()) }

  public struct Iterator: AsyncIteratorProtocol {
    var batches: Batches.Iterator
    private var pending: [Record] = []
    private var next = 0

    init(batches: Batches.Iterator) { self.batches = batches }

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

  public func makeAsyncIterator() -> Iterator { Iterator(self) }

  public struct Iterator: AsyncIteratorProtocol {
    private let source: Batches
    private var offset: Offset?
    private var end: Offset?

    init(_ source: Batches) { self.source = source }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(LogError) -> Batch? {
      let view = source.records.view
      let first: Offset
      if let offset {
        first = offset
      } else {
        first = try view.offset(of: source.records.start)
        end = try source.records.end.map { (place) throws(LogError) in try view.offset(of: place) }
      }
      offset = first
      if let end, first >= end { return nil }
      let room = end.map { Swift.min($0 - first, source.maxRecords) } ?? source.maxRecords
      while true {
        if let batch = try view.batch(from: first, maxRecords: room, maxBytes: source.maxBytes) {
          offset = batch.end
          return batch
        }
        guard end == nil, await view.wait(past: first) else { return nil }
      }
    }
  }
}
