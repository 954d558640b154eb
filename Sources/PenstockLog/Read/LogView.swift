internal import Synchronization

/// The reading side of a log: finds, decodes and shares blocks, and lets readers wait for more. What `Log` publishes and
/// `LogReader` discovers; both read through it. Safe for any number of readers at once.
package final class LogView: Sendable {
  private struct State {
    var set = SegmentSet()
    /// Records below are on stable storage; below `set.end` in a log of weaker durability.
    var durableEnd = Offset.zero
    /// A write or a sync has failed: what is shown and not yet durable may never be.
    var hasFailed = false
    /// Where retention has let the log begin.
    var start: SegmentName?
    /// Segments read lately, newest last: the only ones that keep a file and an index.
    var warm: [Segment] = []
  }
  private let state = Mutex(State())
  let waiters = Waiters()
  let blocks = SharedBlocks()
  /// Held while a segment's file takes another's name, and while segments are dropped: one that is dropped stays gone.
  private let files = Mutex(())

  /// At most so many segments keep a file and an index in memory.
  private static let warmSegments = 16

  /// Looks for news, where nobody publishes them: a second process follows the writer by polling.
  let follow: (@Sendable (LogView) -> Void)?

  private let observation: Observation

  package init(follow: (@Sendable (LogView) -> Void)? = nil, observation: Observation = Observation()) {
    self.follow = follow
    self.observation = observation
  }

  package var set: SegmentSet { state.withLock { $0.set } }
  package var end: Offset { state.withLock { $0.set.end } }
  /// What readers see, and how far it is on stable storage.
  var known: (set: SegmentSet, durable: Offset) { state.withLock { ($0.set, $0.durableEnd) } }
  /// Nothing that is shown becomes durable any more.
  func noteFailure() { state.withLock { $0.hasFailed = true } }
  var hasFailed: Bool { state.withLock { $0.hasFailed } }
  func noteDurable(upTo offset: Offset) { state.withLock { $0.durableEnd = max($0.durableEnd, offset) } }

  /// Shows readers a new state of the log and wakes those who waited for it. `decoded` are blocks among the new ones that the
  /// writer had at hand. Records below `durable` are on stable storage; all of them where it is nil.
  package func publish(_ set: SegmentSet, durable: Offset? = nil, decoded: [DecodedBlock] = []) {
    blocks.insert(decoded)
    state.withLock { state in
      state.set = state.start.map { set.trimmed(to: $0) } ?? set
      state.durableEnd = max(state.durableEnd, durable ?? set.end)
    }
    waiters.wake(upTo: set.end)
  }

  /// Whether a reader waits at the end: then a block the writer has at hand is worth handing over.
  package var isAwaited: Bool { waiters.areThere }

  /// Lets go of what retention drops; reading below `start` is a gap from now on.
  package func trim(to start: SegmentName) {
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
      segment.replaced()
      return true
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
    var found: BlockEntry?, next: BlockEntry?
    do throws(LogError) {
      let isFull = index + 1 < set.segments.count
      (found, next) = try segment.search(offset, upTo: end, isFull: isFull)
      // A passing error of the disk is no gap: look once more.
      if found == nil, segment.reasonOfHole == .unreadable {
        (found, next) = try segment.search(offset, upTo: end, isFull: isFull)
      }
    } catch {
      // Nothing of the segment can be believed.
      guard error.code == .damaged else { throw error }
      return .gap(Gap(first: offset, end: end, reason: .damaged, path: segment.path))
    }
    if let found { return .block(segment, found) }
    if let next {
      return .gap(Gap(first: offset, end: next.baseOffset, reason: segment.reasonOfHole, path: segment.path))
    }
    return .gap(try set.gap(from: offset, behindSegmentAt: index))
  }

  /// The decoded block that holds `offset`; nil at the end. Throws a gap.
  package func block(holding offset: Offset) throws(LogError) -> DecodedBlock? {
    // What is handed over may be there a moment before it may be seen.
    guard offset < end else { return nil }
    if let found = blocks.find(offset) {
      observation.tell(.readBlock(LogObserverEvent.Read(bytes: found.footprint, wasCached: true, duration: .zero)))
      return found
    }
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
      // The newest segment belongs to the writer, who knows things about it that are not yet in its file.
      return oldest === state.set.segments.last ? nil : oldest
    }
    cooled?.release()
  }
}
