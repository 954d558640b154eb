public import PenstockLog

// What a lag needs to know of a log, cheaply.

extension LogView {
  /// Stored bytes from `offset` to the end: an estimate, a little high. From the index of the cursor's segment, which its
  /// reader is at, and of the newest, which is in memory; of those in between the sizes of the files.
  fileprivate func storedBytes(from offset: Offset) throws(LogError) -> Int {
    let set = set
    guard offset < set.end, let newest = set.segments.last else { return 0 }
    let index = set.index(holding: offset) ?? 0
    var bytes = 0
    for (number, segment) in set.segments.enumerated() where number >= index {
      if number > index, segment !== newest {
        bytes += try fileBytes(of: segment, in: set)
      } else {
        // Finds it as its reader does, so that not two keep its index.
        if number == index { _ = try locate(offset) }
        bytes += try segment.storedBytes(from: offset, upTo: set.end(ofSegmentAt: number))
      }
    }
    return bytes
  }

  fileprivate func facts(
    of cursor: CursorState, retention: RetentionPolicy?, progress: DeliveryProgress?, pause: CursorPause?,
    at now: MonotonicInstant, timeOfDay: Timestamp
  ) throws(LogError) -> LagFacts {
    var facts = LagFacts(at: now, timeOfDay: timeOfDay, committed: cursor.committed, end: end)
    facts.lost = cursor.lost
    facts.activity = progress?.activity
    facts.trouble = progress?.trouble
    facts.pause = pause ?? progress?.pause
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

extension ReadableLog {
  /// A look at a cursor's lag, for a ``LagMeter``. Reads names and sizes of files, one index, at most one block.
  public func lagFacts(
    of cursor: CursorState, retention: RetentionPolicy? = nil, progress: DeliveryProgress? = nil,
    pause: CursorPause? = nil,
    at now: MonotonicInstant, timeOfDay: Timestamp
  ) throws(LogError) -> LagFacts {
    try view.facts(of: cursor, retention: retention, progress: progress, pause: pause, at: now, timeOfDay: timeOfDay)
  }
}

extension Segment {
  /// Zero for a segment that cannot be believed: its records are a gap.
  fileprivate func storedBytes(from offset: Offset, upTo end: Offset) throws(LogError) -> Int {
    let entries: [BlockEntry]
    do throws(LogError) { entries = try self.entries(upTo: end) } catch {
      guard error.code == .damaged else { throw error }
      return 0
    }
    return entries.reduce(0) { bytes, entry in
      guard entry.endOffset > offset else { return bytes }
      let left = entry.endOffset - max(entry.baseOffset, offset)
      return bytes + entry.length * left / entry.count
    }
  }
}
