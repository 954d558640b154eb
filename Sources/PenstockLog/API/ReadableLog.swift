/// The common part of ``Log``, which this process writes, and ``LogReader``, which reads a log of any process.
public protocol ReadableLog: Sendable {
  /// The directory.
  var path: String { get }
  /// The log's UUID, as 32 hexadecimal digits.
  var logID: String { get }
  /// The parts by which Penstock's own modules read the log.
  var parts: LogParts { get }
}

/// The parts of an open log, for Penstock's own modules.
public struct LogParts: Sendable {
  let view: LogView
  let cursors: CursorRegistry
  /// Keeps the log open where this process writes it.
  let lifetime: LogLifetime?

  init(_ view: LogView, _ cursors: CursorRegistry, lifetime: LogLifetime? = nil) {
    self.view = view
    self.cursors = cursors
    self.lifetime = lifetime
  }
}

extension ReadableLog {
  package var view: LogView { parts.view }
  var cursors: CursorRegistry { parts.cursors }

  /// One past the last readable record. For a ``LogReader``, as of its last refresh.
  public var end: Offset { view.end }
  /// The first record still in the log.
  public var first: Offset { view.set.first }

  /// The records from a position on, in order; with `tailing`, also future ones, until the log is closed.
  ///
  /// Where `end` is an event time, they end with the last block that may hold an earlier event. No such event is
  /// missing, and later ones are among them. ``window(from:to:untimed:)`` has the condition for each record.
  ///
  /// With `readAhead`, extra threads decode blocks ahead; the records and gaps are the same. Without it, a thread of
  /// the log reads and decompresses a block when the iteration needs it.
  public func records(
    from start: Position = .beginning, to end: Position = .end, tailing: Bool = false, readAhead: ReadAhead = .none
  ) -> Records {
    Records(view: view, start: start, end: tailing ? nil : end, readAhead: readAhead, lifetime: parts.lifetime)
  }

  /// The offset of a position now. A time costs a few small reads the first time, however long the log is, and one
  /// segment's index: O(log records). Blocks the calling thread. Throws `.damaged`, `.io`.
  public func offset(of place: Position) throws(LogError) -> Offset { try view.offset(of: place) }

  /// Does reads that block their thread on a reader thread of the log, and suspends the task meanwhile:
  ///
  /// ```swift
  /// let noon = try await log.offload { () throws(LogError) in try log.offset(of: .time(time)) }
  /// ```
  ///
  /// Reads of other tasks run on other threads meanwhile. At most half of the reader threads do such work at once.
  /// Throws `.cancelled` when the task is cancelled before `reads` has begun, else what `reads` throws.
  public func offload<Output: Sendable>(
    _ reads: @escaping @Sendable () throws(LogError) -> Output
  ) async throws(LogError) -> Output { try await view.offload(.long, reads) }

  // MARK: Windows

  /// The offsets of two positions now. Where a position is an event time (``Position/eventTime(_:)``), also the
  /// condition on each event: no event of the window is outside its offsets. Reads indexes, no block. Blocks the
  /// calling thread.
  public func window(
    from: Position, to: Position, untimed: EventWindow.Untimed = .skip
  ) throws(LogError) -> LogWindow { try view.window(from: from, to: to, untimed: untimed) }

  /// The offsets among `range` that may hold records of a window of event times, in order. Reads indexes, no block.
  /// Blocks the calling thread.
  public func offsets(mayHold events: EventWindow, in range: Range<Offset>) throws(LogError) -> [Range<Offset>] {
    try view.offsets(mayHold: events, in: range)
  }

  /// The offsets of the blocks that may hold events of these times, in order; adjacent ranges are joined. It reads the
  /// block times in the segments' indexes, and no block: O(segments between the two positions). Blocks the calling
  /// thread.
  ///
  /// Every record with an event time in the range is in these offsets. A block in which an append did not give the time
  /// of a record (`RecordBatch.append(_:eventTime:)`) may hold any time. Most of the records in the offsets have other
  /// times: a block is the finest unit.
  public func offsets(
    mayHold eventTimes: Range<Timestamp>, from start: Position = .beginning, to end: Position = .end
  ) throws(LogError) -> [Range<Offset>] {
    let (first, end) = (try view.offset(of: start), try view.offset(of: end))
    let events = EventWindow(from: eventTimes.lowerBound, until: eventTimes.upperBound)
    return try view.offsets(mayHold: events, in: first..<max(first, end))
  }

  /// Estimates the records and bytes of a range from indexes; see ``RangeEstimate``. Blocks the calling thread.
  public func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate { try view.extent(of: range) }

  // MARK: Cursors

  /// Takes the named cursor, or creates it at `start` if there is none of that name. An earlier holder in this process
  /// is fenced. A lock on the cursor's name excludes other processes: throws `.cursorHeld` when one holds it. Also
  /// throws `.invalidName`, `.outOfRange` for a start past the end, `.damaged`, `.io`.
  public func cursor(named name: String, startingAt start: Position = .beginning) async throws(LogError) -> Cursor {
    try await parts.cursor(named: name, startingAt: try await view.fetchOffset(of: start))
  }

  /// The pause on the named cursor; nil when there is none. Blocks the calling thread.
  public func pause(ofCursor name: String) throws(LogError) -> CursorPause? {
    try CursorStore.pause(cursors.environment.fileSystem, cursors.paths, name: name)
  }

  /// Pauses the named cursor, or resumes it with nil: durable when it returns. No process need hold the cursor. A
  /// running delivery begins nothing new, and notices within a second when it may continue.
  public func setPause(_ pause: CursorPause?, ofCursor name: String) async throws(LogError) {
    try await cursors.setPause(pause, ofCursor: name)
  }

  // MARK: Replays

  /// The replays that this log remembers, finished or not, as far as they are readable.
  public func replays() async throws(LogError) -> [ReplayManifest] { try await cursors.replays() }

  package var replayManifests: CursorRegistry { cursors }

  package func replayCursor(_ manifest: ReplayManifest) async throws(LogError) -> Cursor {
    try await parts.cursor(named: manifest.cursorName, startingAt: manifest.first, isReplay: true)
  }
}
