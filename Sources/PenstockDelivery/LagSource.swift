public import PenstockLog

// What a lag needs to know of a log, cheaply.

extension LogView {
  /// Stored bytes from `offset` to the end, as a share: of the first segment, by its records; of all later ones, their files.
  /// O(segments from there on); no index is read.
  fileprivate func storedBytes(from offset: Offset) throws(LogError) -> Int {
    let set = set
    guard offset < set.end, let index = set.index(holding: offset) else {
      return offset < set.end ? try keptBytes(from: offset) : 0
    }
    let (first, end) = (set.segments[index].name.baseOffset, set.end(ofSegmentAt: index))
    let all = try keptBytes(from: offset)
    let later = end < set.end ? try keptBytes(from: end) : 0
    guard end > offset else { return later }
    return later + Int(Double(all - later) * (Double(end - offset) / Double(end - first)))
  }

  fileprivate func facts(
    of cursor: CursorState, retention: RetentionPolicy?, progress: DeliveryProgress?, at now: Moment,
    timeOfDay: Timestamp
  ) throws(LogError) -> LagFacts {
    var facts = LagFacts(at: now, timeOfDay: timeOfDay, committed: cursor.committed, end: end)
    facts.lost = cursor.lost
    facts.activity = progress?.activity
    facts.trouble = progress?.trouble
    guard cursor.committed < facts.end else { return facts }
    facts.storedBytes = try storedBytes(from: cursor.committed)
    facts.oldestAppendTime = try appendTime(at: cursor.committed)
    if let cap = retention?.hardCapBytes {
      facts.hardCapBytes = cap
      facts.keptBytes = try keptBytes(from: cursor.committed)
    }
    return facts
  }
}

extension Log {
  /// A look at a cursor's lag, for a ``LagMeter``. Reads names and sizes of files, one index, at most one block.
  public func lagFacts(
    of cursor: CursorState, retention: RetentionPolicy? = nil, progress: DeliveryProgress? = nil, at now: Moment,
    timeOfDay: Timestamp
  ) throws(LogError) -> LagFacts {
    try view.facts(of: cursor, retention: retention, progress: progress, at: now, timeOfDay: timeOfDay)
  }
}

extension LogReader {
  /// A look at a cursor's lag, for a ``LagMeter``. Reads names and sizes of files, one index, at most one block.
  public func lagFacts(
    of cursor: CursorState, retention: RetentionPolicy? = nil, progress: DeliveryProgress? = nil, at now: Moment,
    timeOfDay: Timestamp
  ) throws(LogError) -> LagFacts {
    try view.facts(of: cursor, retention: retention, progress: progress, at: now, timeOfDay: timeOfDay)
  }
}
