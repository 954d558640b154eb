extension LogView {
  /// The offsets of two positions now. The window is empty, at the second position, where no block may hold such an
  /// event. O(segments between them) where one is an event time, else as ``offset(of:)``.
  ///
  /// It does not change the caches: it reads the indexes of segments that no reader uses, and discards them. Blocks the
  /// calling thread.
  package func window(
    from: Position, to: Position, untimed: EventWindow.Untimed
  ) throws(LogError) -> LogWindow {
    // The end before the beginning: records appended in between are not in the window.
    let high = to.asEventTime == nil ? try offset(of: to) : end
    let low = from.asEventTime == nil ? try offset(of: from) : set.first
    guard let events = EventWindow(from: from, to: to, untimed: untimed) else {
      return LogWindow(first: low, end: high, events: nil)
    }
    // The caller refuses offsets that contradict each other.
    if low > high { return LogWindow(first: low, end: high, events: events) }
    let found = try offsets(mayHold: events, in: low..<high)
    guard let first = found.first, let last = found.last else {
      return LogWindow(first: high, end: high, events: events)
    }
    return LogWindow(first: first.lowerBound, end: last.upperBound, events: events)
  }

  /// The offsets among `range` that may hold records of a window, joined where they follow each other.
  ///
  /// It never omits an event. A block with records of unknown event time may hold any, and so may lost records. With
  /// ``EventWindow/Untimed/include`` all of `range` may. Blocks the calling thread.
  func offsets(mayHold events: EventWindow, in range: Range<Offset>) throws(LogError) -> [Range<Offset>] {
    var found: [Range<Offset>] = []
    try eachRun(mayHold: events, in: range) { run in
      if let last = found.last, last.upperBound == run.lowerBound {
        found[found.count - 1] = last.lowerBound..<run.upperBound
      } else {
        found.append(run)
      }
      return true
    }
    return found
  }

  /// The first offset at or after `range.lowerBound` that may hold a record of a window; nil when none of `range` may.
  /// It reads no index after that offset. Blocks the calling thread.
  package func firstOffset(mayHold events: EventWindow, in range: Range<Offset>) throws(LogError) -> Offset? {
    var first: Offset?
    try eachRun(mayHold: events, in: range) { run in
      first = run.lowerBound
      return false
    }
    return first
  }

  /// - Parameter body: Receives the next run of offsets, never an empty one; false ends the walk.
  private func eachRun(
    mayHold events: EventWindow, in range: Range<Offset>, _ body: (Range<Offset>) -> Bool
  ) throws(LogError) {
    guard !range.isEmpty, !events.isEmpty || events.untimed == .include else { return }
    if events.untimed == .include {
      _ = body(range)
      return
    }
    let set = set
    let last = set.segments.count - 1
    // Everything below is done. Records before the first segment are trimmed or lost.
    var next = range.lowerBound
    func pass(_ run: Range<Offset>) -> Bool {
      let run = max(run.lowerBound, next)..<max(run.lowerBound, next, min(run.upperBound, range.upperBound))
      next = max(next, run.upperBound)
      return run.isEmpty || body(run)
    }
    if next < set.first, !pass(next..<set.first) { return }
    for index in max(0, set.index(holding: next) ?? 0)..<set.segments.count {
      let segment = set.segments[index]
      guard segment.name.baseOffset < range.upperBound else { break }
      let end = set.end(ofSegmentAt: index)
      for run in try runs(mayHold: events, in: index == last ? segment : segment.copy(), upTo: end) where !pass(run) {
        return
      }
    }
  }

  private func runs(
    mayHold events: EventWindow, in segment: Segment, upTo end: Offset
  ) throws(LogError) -> [Range<Offset>] {
    let whole = segment.name.baseOffset..<max(segment.name.baseOffset, end)
    let entries: [BlockEntry]
    do throws(LogError) {
      entries = try segment.entries(upTo: end)
    } catch {
      guard error.code == .damaged || error.isAboutMissingFile else { throw error }
      // Retention may have removed it since the list of segments was made.
      if error.isAboutMissingFile { follow?(self) }
      // Otherwise its records are lost: a reader meets the gap there and reports it.
      return contains(segment.name) ? [whole] : []
    }
    var found: [Range<Offset>] = []
    var next = whole.lowerBound
    for (index, entry) in entries.enumerated() where entry.baseOffset < end {
      // Between two blocks: lost records.
      if next < entry.baseOffset { found.append(next..<entry.baseOffset) }
      let later = index + 1 < entries.count ? entries[index + 1].appendTime.nanoseconds : .max
      if entry.mayHold(events, appendedUpTo: later) { found.append(entry.baseOffset..<min(entry.endOffset, end)) }
      next = entry.endOffset
    }
    if next < end { found.append(next..<end) }
    return found
  }
}

extension BlockEntry {
  /// - Parameter later: No record of the block was appended later than this, in nanoseconds since 1970.
  fileprivate func mayHold(_ events: EventWindow, appendedUpTo later: Int64) -> Bool {
    if !knowsEventTimes { return true }
    if let eventTimes, events.overlaps(eventTimes) { return true }
    let first = appendTime.nanoseconds
    return events.untimed == .appendTime && events.overlaps(first...max(first, later))
  }
}
