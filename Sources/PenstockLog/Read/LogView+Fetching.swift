// Reading for tasks. What is in memory is taken on the task's own thread; everything else is read on a reader thread.
// Waiting for a block that another reader is decoding counts as everything else.

extension LogView {
  /// As ``batch(from:maxRecords:maxBytes:unopened:)``, but blocks no thread that runs tasks. Throws also `.cancelled`.
  package func fetchBatch(
    from first: Offset, maxRecords: Int, maxBytes: Int, unopened: Bool = false
  ) async throws(LogError) -> Batch? {
    var builder = BatchBuilder(
      from: first, maxRecords: maxRecords, maxBytes: maxBytes, unpackedBy: blocks.readers, unopened: unopened)
    if let batch = try gatherFromMemory(&builder) { return batch }
    return try await fetch(builder)
  }

  /// As ``batch(in:unopened:)``, but blocks no thread that runs tasks. Throws also `.cancelled`.
  package func fetchBatch(in range: Range<Offset>, unopened: Bool = false) async throws(LogError) -> Batch {
    var builder = try builder(of: range, unopened: unopened)
    if let batch = try gatherFromMemory(&builder) { return Self.whole(batch) }
    return Self.whole(try await fetch(builder))
  }

  /// Takes blocks as far as they are in memory, and reads none. Returns the batch when that completes it, `.some(nil)`
  /// at the end; nil when a block must be read: then ``fetch(_:)`` continues.
  func gatherFromMemory(_ builder: inout some BlockGatherer) throws(LogError) -> Batch?? {
    while builder.offset < end {
      guard let block = findBlock(holding: builder.offset), !isReadUnopened(block, by: builder) else { return nil }
      guard builder.take(block) else { break }
    }
    return .some(try builder.end())
  }

  /// Whether a block in memory is read again, unopened: without its frame its records would be compressed again.
  func isReadUnopened(_ block: DecodedBlock, by builder: some BlockGatherer) -> Bool {
    block.frame == nil && block.payload.count >= PackedBlock.leastUnopened
      && builder.wantsUnopened(
        block.baseOffset..<block.endOffset, byteCount: block.byteCount(of: 0..<block.count))
  }

  /// Completes a batch on a reader thread, a block a turn. Throws also `.cancelled`.
  func fetch(_ builder: some BlockGatherer) async throws(LogError) -> Batch? {
    try await readerThreads.run(.short, builder) { [self] (builder) throws(LogError) in try gatherBlock(&builder) }
  }

  /// As ``block(holding:)``, but blocks no thread that runs tasks. Throws also `.cancelled`.
  func fetchBlock(holding offset: Offset) async throws(LogError) -> DecodedBlock? {
    guard offset < end else { return nil }
    if let found = findBlock(holding: offset) { return found }
    return try await offload(.short) { () throws(LogError) in try self.block(holding: offset) }
  }

  /// As ``offset(of:)``, but blocks no thread that runs tasks. A time is searched on a reader thread. Throws also
  /// `.cancelled`.
  func fetchOffset(of place: Position) async throws(LogError) -> Offset {
    switch place {
    case .beginning, .end, .offset: try offset(of: place)
    case .time: try await offload(.short) { () throws(LogError) in try self.offset(of: place) }
    case .eventTime: try await offload { () throws(LogError) in try self.offset(of: place) }
    }
  }

  /// Does blocking reads on a reader thread. Throws `.cancelled` when the task is cancelled before they begin, else
  /// what `reads` throws.
  package func offload<Output: Sendable>(
    _ length: ReadingLength = .long, _ reads: @escaping @Sendable () throws(LogError) -> Output
  ) async throws(LogError) -> Output {
    try await readerThreads.run(length, ()) { (_) throws(LogError) in try reads() }
  }
}
