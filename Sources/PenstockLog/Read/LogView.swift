internal import Synchronization

/// The segments of a log at one moment, and how far they may be read. Immutable: the writer swaps it whole.
package struct SegmentSet: Sendable {
  package var segments: [Segment]
  /// One past the last readable record.
  package var end: Offset

  package init(segments: [Segment] = [], end: Offset = .zero) {
    self.segments = segments
    self.end = end
  }

  package var first: Offset { segments.first?.name.baseOffset ?? .zero }

  /// Without the segments that retention has dropped.
  package func trimmed(to start: SegmentName) -> SegmentSet {
    guard let oldest = segments.first?.name, oldest.sequence < start.sequence else { return self }
    return SegmentSet(segments: segments.filter { $0.name.sequence >= start.sequence }, end: end)
  }

  /// The place of the segment that holds `offset`: the last one that begins at or before it. O(log segments).
  package func index(holding offset: Offset) -> Int? {
    var (low, high) = (0, segments.count)
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].name.baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }

  /// What is lost between the last block of a segment and the next segment.
  func gap(from offset: Offset, behindSegmentAt index: Int) throws(LogError) -> Gap {
    let end = end(ofSegmentAt: index)
    let isMissing =
      index + 1 < segments.count && segments[index + 1].name.sequence > segments[index].name.sequence + 1
    // Zeros alone behind the last block: it ended there, and what followed was in a file that is gone.
    guard isMissing, try segments[index].isWhole() else {
      return Gap(first: offset, end: end, reason: .damaged, path: segments[index].path)
    }
    return Gap(first: offset, end: end, reason: .missing)
  }

  /// Where the records of a segment end: the next one's beginning, or the readable end.
  package func end(ofSegmentAt index: Int) -> Offset {
    index + 1 < segments.count ? segments[index + 1].name.baseOffset : end
  }
}

/// The reading side of a log: finds, decodes and shares blocks, and lets readers wait for more. What `Log` publishes and
/// `LogReader` discovers; both read through it. Safe for any number of readers at once.
package final class LogView: Sendable {
  private struct State {
    var set = SegmentSet()
    /// Where retention has let the log begin.
    var start: SegmentName?
    var isClosed = false
    var waiters: [(id: UInt64, past: Offset, continuation: CheckedContinuation<Bool, Never>)] = []
    var nextWaiter: UInt64 = 0
    /// Segments read lately, newest last: the only ones that keep a file and an index.
    var warm: [Segment] = []
    /// Blocks decoded lately, newest last.
    var blocks: [DecodedBlock] = []
    var decompressors: [ZstdDecompressor] = []
  }
  private let state = Mutex(State())
  /// Held while a segment's file takes another's name, and while segments are dropped: one that is dropped stays gone.
  private let files = Mutex(())

  /// At most so many segments keep a file and an index in memory.
  private static let warmSegments = 16
  /// Decoded blocks are kept up to so many, and up to so many bytes together.
  private static let cachedBlocks = 32
  private static let cachedBytes = 8 << 20

  /// Looks for news, where nobody publishes them: a second process follows the writer by polling.
  private let follow: (@Sendable (LogView) -> Void)?
  /// How often a waiting reader looks.
  private static let pollInterval = Duration.milliseconds(20)

  package init(follow: (@Sendable (LogView) -> Void)? = nil) { self.follow = follow }

  package var set: SegmentSet { state.withLock { $0.set } }
  package var end: Offset { state.withLock { $0.set.end } }

  /// Shows readers a new state of the log and wakes those who waited for it.
  package func publish(_ set: SegmentSet) {
    let woken = state.withLock { state in
      state.set = state.start.map { set.trimmed(to: $0) } ?? set
      let woken = state.waiters.filter { $0.past < set.end }
      state.waiters.removeAll { $0.past < set.end }
      return woken
    }
    for waiter in woken { waiter.continuation.resume(returning: true) }
  }

  /// Lets go of what retention drops; reading below `start` is a gap from now on.
  package func trim(to start: SegmentName) {
    let dropped = files.withLock { _ in
      state.withLock { state in
        state.start = start
        state.set = state.set.trimmed(to: start)
        state.blocks.removeAll { $0.endOffset <= start.baseOffset }
        defer { state.warm.removeAll { $0.name.sequence < start.sequence } }
        return state.warm.filter { $0.name.sequence < start.sequence }
      }
    }
    for segment in dropped { segment.release() }
  }

  package func contains(_ name: SegmentName) -> Bool { set.segments.contains { $0.name == name } }

  /// Lets `replace` put another file in the place of a segment's, and readers find it. False, and nothing done, when the log
  /// does not have the segment any more.
  package func replaceFile(
    of name: SegmentName, _ replace: () throws(FileSystemError) -> Void
  ) throws(FileSystemError) -> Bool {
    try files.withLock { (_) throws(FileSystemError) in
      guard let segment = set.segments.first(where: { $0.name == name }) else { return false }
      try replace()
      // Readers that are at the old file keep it until they let go.
      segment.release()
      return true
    }
  }

  /// Ends all waiting. Reading goes on.
  package func close() {
    let woken = state.withLock { state in
      state.isClosed = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in woken { waiter.continuation.resume(returning: false) }
  }

  /// Returns true once a record at `offset` is readable; false when the view is closed or the task cancelled first.
  package func wait(past offset: Offset) async -> Bool {
    guard let follow else { return await waitForPublication(past: offset) }
    while true {
      follow(self)
      let (end, isClosed) = state.withLock { ($0.set.end, $0.isClosed) }
      if end > offset { return true }
      if isClosed { return false }
      do { try await Task.sleep(for: Self.pollInterval) } catch { return false }
    }
  }

  private func waitForPublication(past offset: Offset) async -> Bool {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.set.end > offset { return true }
          if state.isClosed || Task.isCancelled { return false }
          state.waiters.append((id, offset, continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        let found = state.waiters.first { $0.id == id }
        state.waiters.removeAll { $0.id == id }
        return found
      }
      waiter?.continuation.resume(returning: false)
    }
  }

  /// What stands at an offset.
  package enum Located: Sendable {
    case block(Segment, BlockEntry)
    case gap(Gap)
    /// Nothing yet: the offset is the readable end or later.
    case end
  }

  /// Finds the block that holds `offset`. O(log segments + log blocks), plus one scan of headers for a segment that was not
  /// read lately.
  package func locate(_ offset: Offset) throws(LogError) -> Located {
    try despiteTrimming { () throws(LogError) in
      try locateNow(offset)
    } otherwise: {
      // Not retention: the file is gone.
      let set = set
      guard let index = set.index(holding: offset) else { return nil }
      return .gap(
        Gap(
          first: offset, end: set.end(ofSegmentAt: index), reason: .missing, path: set.segments[index].path))
    }
  }

  /// Looks again when a file is gone: retention may have removed it since the list was made.
  func despiteTrimming<Found>(
    _ find: () throws(LogError) -> Found, otherwise: () -> Found? = { nil }
  ) throws(LogError) -> Found {
    do throws(LogError) { return try find() } catch { guard error.isAboutMissingFile else { throw error } }
    follow?(self)
    do throws(LogError) { return try find() } catch {
      guard error.isAboutMissingFile, let found = otherwise() else { throw error }
      return found
    }
  }

  private func locateNow(_ offset: Offset) throws(LogError) -> Located {
    let set = set
    guard offset < set.end else { return .end }
    guard let index = set.index(holding: offset) else {
      // Below the start it was retention; between the start and the first segment there should be one.
      let start = state.withLock { $0.start?.baseOffset } ?? set.first
      let isTrimmed = offset < start
      return .gap(Gap(first: offset, end: isTrimmed ? start : set.first, reason: isTrimmed ? .trimmed : .missing))
    }
    let segment = set.segments[index]
    let end = set.end(ofSegmentAt: index)
    warm(segment)
    let entries: [BlockEntry]
    do throws(LogError) {
      entries = try segment.entries(upTo: end)
    } catch {
      // Nothing of the segment can be believed.
      guard error.code == .damaged else { throw error }
      return .gap(Gap(first: offset, end: end, reason: .damaged, path: segment.path))
    }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    if low > 0, offset < entries[low - 1].endOffset { return .block(segment, entries[low - 1]) }
    if low < entries.count {
      return .gap(Gap(first: offset, end: entries[low].baseOffset, reason: .damaged, path: segment.path))
    }
    return .gap(try set.gap(from: offset, behindSegmentAt: index))
  }

  /// The decoded block that holds `offset`; nil at the end. Throws a gap.
  package func block(holding offset: Offset) throws(LogError) -> DecodedBlock? {
    let cached = state.withLock { state -> DecodedBlock? in
      guard offset < state.set.end else { return nil }
      return state.blocks.last { $0.baseOffset <= offset && offset < $0.endOffset }
    }
    if let cached { return cached }
    return try withBlock(holding: offset) { (segment, entry) throws(LogError) in try decode(segment, entry) }
  }

  /// Locates the block that holds `offset` and lets `read` read it; nil at the end. Throws a gap.
  ///
  /// Between the two the segment may be sealed, and what was located stand elsewhere: then both are done again. A block
  /// that is located twice at one place and cannot be read is a gap.
  package func withBlock<Result>(
    holding offset: Offset, _ read: (Segment, BlockEntry) throws(LogError) -> Result
  ) throws(LogError) -> Result? {
    try despiteTrimming { () throws(LogError) -> Result? in
      var before: BlockEntry?
      while true {
        switch try locate(offset) {
        case .end: return nil
        case .gap(let gap): throw LogError(gap)
        case .block(let segment, let entry):
          do throws(LogError) {
            return try read(segment, entry)
          } catch {
            guard error.gap != nil, before?.isSame(as: entry) != true else { throw error }
            before = entry
          }
        }
      }
    }
  }

  private func decode(_ segment: Segment, _ entry: BlockEntry) throws(LogError) -> DecodedBlock {
    let decompressor = state.withLock { $0.decompressors.popLast() } ?? ZstdDecompressor()
    defer { state.withLock { $0.decompressors.append(decompressor) } }
    let block = try segment.decode(entry, with: decompressor)
    state.withLock { state in
      state.blocks.append(block)
      var bytes = state.blocks.reduce(0) { $0 + $1.footprint }
      while state.blocks.count > 1, bytes > Self.cachedBytes || state.blocks.count > Self.cachedBlocks {
        bytes -= state.blocks.removeFirst().footprint
      }
    }
    return block
  }

  private func warm(_ segment: Segment) {
    let cooled = state.withLock { state -> Segment? in
      if state.warm.last === segment { return nil }
      state.warm.removeAll { $0 === segment }
      state.warm.append(segment)
      guard state.warm.count > Self.warmSegments else { return nil }
      let oldest = state.warm.removeFirst()
      // The newest segment belongs to the writer, who knows things about it that are not yet in its file.
      return oldest === state.set.segments.last ? nil : oldest
    }
    cooled?.release()
  }
}
