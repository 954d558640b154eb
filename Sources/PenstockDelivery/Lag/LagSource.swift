public import PenstockLog

// Reads a lag's snapshot from a log, cheaply.

extension LogView {
  /// Stored bytes from `offset` to the end: an estimate, slightly high. Uses the indexes of the cursor's segment, which
  /// its reader has loaded, and of the newest, which is in memory. Between them it adds up file sizes.
  fileprivate func storedBytes(from offset: Offset) throws(LogError) -> Int {
    let set = set
    guard offset < set.end, let newest = set.segments.last else { return 0 }
    let index = set.index(holding: offset) ?? 0
    var bytes = 0
    for (number, segment) in set.segments.enumerated() where number >= index {
      if number > index, segment !== newest {
        bytes += try fileBytes(of: segment, in: set)
      } else {
        // Locates it as the cursor's reader does, so that its index is cached once.
        if number == index { _ = try locate(offset) }
        bytes += try segment.storedBytes(from: offset, upTo: set.end(ofSegmentAt: number))
      }
    }
    return bytes
  }

  fileprivate func snapshot(
    of cursor: CursorState, retention: RetentionPolicy?, progress: DeliveryProgress?, pause: CursorPause?,
    at now: MonotonicInstant, timeOfDay: Timestamp
  ) throws(LogError) -> LagSnapshot {
    var snapshot = LagSnapshot(at: now, timeOfDay: timeOfDay, committed: cursor.committed, end: end)
    snapshot.lost = cursor.lost
    snapshot.activity = progress?.activity
    snapshot.trouble = progress?.trouble
    snapshot.pause = pause ?? progress?.pause
    guard cursor.committed < snapshot.end else { return snapshot }
    snapshot.storedBytes = try storedBytes(from: cursor.committed)
    snapshot.oldestAppendTime = try appendTime(at: cursor.committed)
    if let cap = retention?.hardCapBytes {
      snapshot.hardCapBytes = cap
      snapshot.keptBytes = try keptBytes(from: cursor.committed)
    }
    return snapshot
  }
}

extension ReadableLog {
  /// A snapshot of a cursor's lag, for a ``LagMeter``. Reads names and sizes of files, one index, at most one block.
  /// Blocks the calling thread.
  public func lagSnapshot(
    of cursor: CursorState, retention: RetentionPolicy? = nil, progress: DeliveryProgress? = nil,
    pause: CursorPause? = nil,
    at now: MonotonicInstant, timeOfDay: Timestamp
  ) throws(LogError) -> LagSnapshot {
    try view.snapshot(of: cursor, retention: retention, progress: progress, pause: pause, at: now, timeOfDay: timeOfDay)
  }
}

extension Segment {
  /// Zero for a segment that cannot be read: its records are a gap.
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
