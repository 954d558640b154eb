internal import Synchronization

/// The reading side of a log: it finds, decodes and shares blocks, and lets readers wait for more. `Log` publishes to
/// it, `LogReader` refreshes it from the files, and both read through it. Any number of readers may use it at once.
package final class LogView: Sendable {
  private struct State {
    var set = SegmentSet()
    /// Records below are on stable storage; it is below `set.end` only in a log of weaker durability.
    var durableEnd = Offset.zero
    /// A write or a sync has failed: visible records that are not durable may never become durable.
    var hasFailed = false
    /// The log's start, set by retention.
    var start: SegmentName?
    /// Recently read segments, newest last: only these keep a file and an index.
    var warm: [Segment] = []
  }
  private let state = Mutex(State())
  let waiters = Waiters()
  let blocks = SharedBlocks()
  /// Read for tasks.
  let readerThreads = ReaderPool()
  /// Held while a segment's file is replaced, and while segments are dropped, so that a dropped one stays gone.
  private let files = Mutex(())

  /// The most segments that keep a file and an index in memory.
  private static let warmSegments = 16

  /// Refreshes the view where no writer publishes: a second process polls the files.
  let follow: (@Sendable (LogView) -> Void)?

  let observation: Observation

  init(follow: (@Sendable (LogView) -> Void)? = nil, observation: Observation = Observation()) {
    self.follow = follow
    self.observation = observation
  }

  package var set: SegmentSet { state.withLock { $0.set } }
  package var end: Offset { state.withLock { $0.set.end } }
  /// What readers see, and how far it is durable.
  var known: (set: SegmentSet, durable: Offset) { state.withLock { ($0.set, $0.durableEnd) } }
  /// From now on no visible record becomes durable.
  func noteFailure() { state.withLock { $0.hasFailed = true } }
  var hasFailed: Bool { state.withLock { $0.hasFailed } }
  func noteDurable(upTo offset: Offset) { state.withLock { $0.durableEnd = max($0.durableEnd, offset) } }

  /// Shows readers a new state of the log and wakes those that waited for it. `decoded` are new blocks that the writer
  /// had in memory. Records below `durable` are on stable storage; all of them where it is nil.
  func publish(_ set: SegmentSet, durable: Offset? = nil, decoded: [DecodedBlock] = []) {
    blocks.insert(decoded)
    state.withLock { state in
      state.set = state.start.map { set.trimmed(to: $0) } ?? set
      state.durableEnd = max(state.durableEnd, durable ?? set.end)
    }
    waiters.wake(upTo: set.end)
  }

  /// Whether a reader waits at the end: then the writer should pass on a block that it has in memory.
  var isAwaited: Bool { waiters.areThere }

  /// Removes the segments below `start`; from now on, reading them is a gap.
  func trim(to start: SegmentName) {
    let dropped = files.withLock { _ in
      state.withLock { state in
        state.start = start
        state.set = state.set.trimmed(to: start)
        defer { state.warm.removeAll { $0.name.sequence < start.sequence } }
        return state.warm.filter { $0.name.sequence < start.sequence }
      }
    }
    blocks.drop(below: start.baseOffset)
    for segment in dropped { segment.release() }
  }

  func contains(_ name: SegmentName) -> Bool { set.segments.contains { $0.name == name } }

  /// Runs `replace` to replace a segment's file, and makes readers open the new one. Returns false, and does nothing,
  /// when the log no longer has the segment.
  func replaceFile(
    of name: SegmentName, _ replace: () throws(FileSystemError) -> Void
  ) throws(FileSystemError) -> Bool {
    try files.withLock { (_) throws(FileSystemError) in
      guard let segment = set.segments.first(where: { $0.name == name }) else { return false }
      try replace()
      // Reads in progress keep the old file open.
      segment.replaced()
      return true
    }
  }

  /// What the log holds at an offset.
  package enum Location: Sendable {
    case block(Segment, BlockEntry)
    case gap(Gap)
    /// No record yet: the offset is the readable end or later.
    case end
  }

  /// Finds the block that holds `offset`. O(log segments + log blocks), plus one scan of headers for a segment that was
  /// not read lately. Blocks the calling thread.
  package func locate(_ offset: Offset) throws(LogError) -> Location {
    try despiteTrimming { () throws(LogError) in
      try locateNow(offset)
    } otherwise: {
      // Retention did not remove it: the file is gone.
      let set = set
      guard let index = set.index(holding: offset) else { return nil }
      return .gap(
        Gap(
          first: offset, end: set.end(ofSegmentAt: index), reason: .missing, path: set.segments[index].path))
    }
  }

  /// Tries again when a file is gone: retention may have removed it since the list was made.
  func despiteTrimming<Result>(
    _ find: () throws(LogError) -> Result, otherwise: () -> Result? = { nil }
  ) throws(LogError) -> Result {
    do throws(LogError) { return try find() } catch { guard error.isAboutMissingFile else { throw error } }
    follow?(self)
    do throws(LogError) { return try find() } catch {
      guard error.isAboutMissingFile, let found = otherwise() else { throw error }
      return found
    }
  }

  private func locateNow(_ offset: Offset) throws(LogError) -> Location {
    let set = set
    guard offset < set.end else { return .end }
    guard let index = set.index(holding: offset) else {
      // Retention removed what is below the start. Between the start and the first segment a segment is missing.
      let start = state.withLock { $0.start?.baseOffset } ?? set.first
      let isTrimmed = offset < start
      return .gap(Gap(first: offset, end: isTrimmed ? start : set.first, reason: isTrimmed ? .trimmed : .missing))
    }
    let segment = set.segments[index]
    let end = set.end(ofSegmentAt: index)
    warm(segment)
    var found: BlockEntry?, next: BlockEntry?
    do throws(LogError) {
      let isFull = index + 1 < set.segments.count
      (found, next) = try segment.search(offset, upTo: end, isFull: isFull)
      // A transient disk error is no gap: read once more.
      if found == nil, segment.reasonOfHole == .unreadable {
        (found, next) = try segment.search(offset, upTo: end, isFull: isFull)
      }
    } catch {
      // No byte of the segment is valid evidence.
      guard error.code == .damaged else { throw error }
      return .gap(Gap(first: offset, end: end, reason: .damaged, path: segment.path))
    }
    if let found { return .block(segment, found) }
    if let next {
      return .gap(Gap(first: offset, end: next.baseOffset, reason: segment.reasonOfHole, path: segment.path))
    }
    return .gap(try set.gap(from: offset, afterSegmentAt: index))
  }

  /// The decoded block that holds `offset`; nil at the end. Throws a gap. Blocks the calling thread.
  package func block(holding offset: Offset) throws(LogError) -> DecodedBlock? {
    // The writer passes a block on shortly before readers may see it.
    guard offset < end else { return nil }
    if let found = findBlock(holding: offset) { return found }
    let start = observation.start()
    let found = try withBlock(holding: offset) { (segment, entry) throws(LogError) in
      try blocks.block(segment, entry, for: offset, end: end)
    }
    if let found {
      observation.tell(since: start) {
        .readBlock(LogObserverEvent.Read(bytes: found.footprint, wasCached: false, duration: $0))
      }
    }
    return found
  }

  /// The decoded block that holds `offset`, which is below ``end``; nil when it is not in memory. Waits for nothing.
  func findBlock(holding offset: Offset) -> DecodedBlock? {
    guard let found = blocks.find(offset) else { return nil }
    observation.tell(.readBlock(LogObserverEvent.Read(bytes: found.footprint, wasCached: true, duration: .zero)))
    return found
  }

  /// Locates the block that holds `offset` and runs `read` on it; nil at the end. Throws a gap. Blocks the calling
  /// thread.
  ///
  /// Sealing may move the block between the two steps: then both are repeated. A block that is located twice at one
  /// position and cannot be read is a gap.
  func withBlock<Result>(
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
            guard let gap = error.gap else { throw error }
            // The block is lost from its beginning on; the reader has what is before `offset`.
            guard before?.isSame(as: entry) != true else { throw LogError(gap.starting(at: offset)) }
            before = entry
          }
        }
      }
    }
  }

  func warm(_ segment: Segment) {
    let cooled = state.withLock { state -> Segment? in
      if state.warm.last === segment { return nil }
      state.warm.removeAll { $0 === segment }
      state.warm.append(segment)
      guard state.warm.count > Self.warmSegments else { return nil }
      let oldest = state.warm.removeFirst()
      // The newest segment belongs to the writer, which knows blocks that are not yet in its file.
      return oldest === state.set.segments.last ? nil : oldest
    }
    cooled?.release()
  }
}
