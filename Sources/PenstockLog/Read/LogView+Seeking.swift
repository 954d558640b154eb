extension LogView {
  /// The first offset whose append time is not before `time`; the end when there is none. Append times never fall: a search
  /// among the segments' beginnings, each one small read and kept, then one segment's index.
  package func offset(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    try despiteTrimming { () throws(LogError) in try offsetNow(atOrAfter: time) }
  }

  private func offsetNow(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    let set = set
    // The last segment begun before `time` holds the place, or the one after it begins there. Not the last begun *at* it:
    // where the clock stood still, the one before ends with records of that time.
    let reached = try firstSegment(reaching: time.nanoseconds, in: set) { $0.begunAt.nanoseconds }
    guard let index = reached.map({ $0 - 1 }), index >= 0 else { return set.first }
    let entries = try entries(ofSegmentAt: index, in: set)
    let later = entries.partition { $0.appendTime < time }
    // A sealed block holds records of several times: the first at or after `time` may be within the block before.
    if later > 0, let offset = try offset(atOrAfter: time, in: entries[later - 1]) { return offset }
    return later < entries.count ? entries[later].baseOffset : set.end(ofSegmentAt: index)
  }

  private func offset(atOrAfter time: Timestamp, in entry: BlockEntry) throws(LogError) -> Offset? {
    guard entry.hasAppendTimes else { return nil }
    var offset = entry.baseOffset
    do throws(LogError) {
      // Blocks of the original may still be in memory, so several may lie where the index knows one.
      while offset < entry.endOffset, let block = try block(holding: offset) {
        if let index = block.appendTimes.firstIndex(atOrAfter: time) { return max(block.baseOffset + index, offset) }
        offset = block.endOffset
      }
      return nil
    } catch {
      // Where the times are lost, so are the records: reading from here on meets the gap and tells.
      guard error.gap != nil else { throw error }
      return offset
    }
  }

  /// The first record of the first block that may hold an event at or after `time`; the end when there is none.
  ///
  /// Event times may fall; what never falls is the latest event time so far, and every segment's header says what it was when
  /// the segment was begun. So this is a search among headers, then one segment's index; and where retention has dropped an event
  /// at or after `time`, or a header does not say, the segments' indexes one after the other.
  package func offset(atOrAfterEventTime time: Int64) throws(LogError) -> Offset {
    try despiteTrimming { () throws(LogError) in
      let set = set
      for index in try firstSegment(reachingEventTime: time, in: set)..<set.segments.count {
        let entries = try entries(ofSegmentAt: index, in: set)
        if let block = entries.first(where: { $0.eventTimes?.upperBound ?? .min >= time }) { return block.baseOffset }
      }
      return set.end
    }
  }

  /// No segment before this one holds an event at or after `time`.
  private func firstSegment(reachingEventTime time: Int64, in set: SegmentSet) throws(LogError) -> Int {
    try firstSegment(reaching: time, in: set) { $0.latestEventTime }.map { max(0, $0 - 1) } ?? 0
  }

  /// The first segment whose header says at least `target`, the number of segments when none does; nil when a header that is
  /// asked does not say.
  private func firstSegment(
    reaching target: Int64, in set: SegmentSet, _ value: (Segment.SegmentStart) -> Int64?
  ) throws(LogError) -> Int? {
    let segments = set.segments
    var search = InterpolationSearch(count: segments.count, target: target)
    while let index = search.next() {
      // The disk looks for two headers at once; and for the index of the segment that will be found, if the guess is right.
      if let next = search.likelyNext(after: index) {
        segments[index].prefetchHeader()
        segments[next].prefetchHeader(andIndex: search.isNear)
      }
      guard let value = value(try segments[index].segmentStart()) else { return nil }
      search.tell(value, at: index)
    }
    return search.result
  }

  private func entries(ofSegmentAt index: Int, in set: SegmentSet) throws(LogError) -> [BlockEntry] {
    warm(set.segments[index])
    return try set.segments[index].entries(upTo: set.end(ofSegmentAt: index))
  }
}

extension [BlockEntry] {
  /// How many from the first on satisfy a condition that, once false, stays false.
  fileprivate func partition(_ isBefore: (BlockEntry) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension LogView {
  package func offset(of place: Position) throws(LogError) -> Offset {
    switch place {
    case .beginning: set.first
    case .end: end
    case .offset(let offset): offset
    case .time(let time): try offset(atOrAfter: time)
    case .eventTime(let time): try offset(atOrAfterEventTime: time.nanoseconds)
    }
  }
}
