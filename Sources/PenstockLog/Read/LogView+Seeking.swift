extension LogView {
  /// The first offset whose append time is not before `time`; the end when there is none. Append times never fall. So
  /// it searches the segments' begin times, each one small read that is kept, and then one segment's index. Blocks the
  /// calling thread.
  func offset(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    try despiteTrimming { () throws(LogError) in try offsetNow(atOrAfter: time) }
  }

  private func offsetNow(atOrAfter time: Timestamp) throws(LogError) -> Offset {
    let set = set
    // The result is in the last segment begun before `time`, or at the beginning of the next one. It is not the last
    // one begun *at* `time`: if the clock did not advance, the segment before ends with records of that time.
    let reached = try firstSegment(reaching: time.nanoseconds, in: set) { $0.begunAt.nanoseconds }
    guard let index = reached.map({ $0 - 1 }), index >= 0 else { return set.first }
    let entries = try entries(ofSegmentAt: index, in: set)
    let later = entries.partition { $0.appendTime < time }
    // A sealed block holds records of several times: the first at or after `time` may be in the block before.
    if later > 0, let offset = try offset(atOrAfter: time, in: entries[later - 1]) { return offset }
    return later < entries.count ? entries[later].baseOffset : set.end(ofSegmentAt: index)
  }

  private func offset(atOrAfter time: Timestamp, in entry: BlockEntry) throws(LogError) -> Offset? {
    guard entry.hasAppendTimes else { return nil }
    var offset = entry.baseOffset
    do throws(LogError) {
      // The original's blocks may still be in memory, so there may be several where the index has one.
      while offset < entry.endOffset, let block = try block(holding: offset) {
        if let index = block.appendTimes.firstIndex(atOrAfter: time) { return max(block.baseOffset + index, offset) }
        offset = block.endOffset
      }
      return nil
    } catch {
      // Where the times are lost, so are the records: a reader that starts here meets the gap and reports it.
      guard error.gap != nil else { throw error }
      return offset
    }
  }

  /// The first record of the first block that may hold an event at or after `time`; the end when there is none.
  ///
  /// Event times may fall. The latest event time so far never falls, and every segment's header holds its value at the
  /// segment's beginning. So this searches headers, and then one segment's index. It must search the segments' indexes
  /// in order where retention has dropped an event at or after `time`, or where a header lacks the value. Blocks the
  /// calling thread.
  func offset(atOrAfterEventTime time: Int64) throws(LogError) -> Offset {
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

  /// The first segment whose header has at least `target`, or the number of segments when none has. Nil when a header
  /// on the way lacks the value.
  private func firstSegment(
    reaching target: Int64, in set: SegmentSet, _ value: (Segment.SegmentStart) -> Int64?
  ) throws(LogError) -> Int? {
    let segments = set.segments
    var search = InterpolationSearch(count: segments.count, target: target)
    while let index = search.next() {
      // The disk reads two headers at once, and the index of the probable result.
      if let next = search.likelyNext(after: index) {
        segments[index].prefetchHeader()
        segments[next].prefetchHeader(andIndex: search.isNear)
      }
      guard let value = value(try segments[index].segmentStart()) else { return nil }
      search.record(value, at: index)
    }
    return search.result
  }

  private func entries(ofSegmentAt index: Int, in set: SegmentSet) throws(LogError) -> [BlockEntry] {
    warm(set.segments[index])
    return try set.segments[index].entries(upTo: set.end(ofSegmentAt: index))
  }
}

extension [BlockEntry] {
  /// How many entries from the first on satisfy a condition that, once false, stays false.
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
  func offset(of place: Position) throws(LogError) -> Offset {
    switch place {
    case .beginning: set.first
    case .end: end
    case .offset(let offset): offset
    case .time(let time): try offset(atOrAfter: time)
    case .eventTime(let time): try offset(atOrAfterEventTime: time.nanoseconds)
    }
  }
}
