/// Receives events of a log: one for a group of appends or for a block, never one for a record.
///
/// By default there is no observer, and nothing is measured. Set ``LogEnvironment/observer`` to receive events.
/// `PenstockMetrics` has observers that make metrics and traces of them.
///
/// The log's own threads and readers' tasks call it, any number at once, and they wait for it. So it must return soon
/// and must not call the log.
public protocol LogObserver: Sendable {
  /// Receives an event. The log's thread or a reader's task waits for it.
  func observe(_ event: LogObserverEvent)
}

/// An event of a log. More cases may come: end a `switch` with `default`.
public enum LogObserverEvent: Sendable {
  /// The log was opened, and recovered where that was needed.
  case opened(RecoveryReport, duration: Duration)
  /// The log compressed and wrote a block. It is not durable yet.
  case wroteBlock(Block)
  /// Everything written before is on stable storage.
  case synced(duration: Duration)
  /// The appends of one group are as safe as they asked, visible to readers, and their callers have returned.
  case committed(Group)
  /// Appends failed together. None of their records are in the log, unless the code is `.poisoned`: then it is unknown.
  case failed(appends: Int, LogError.Code)
  /// An append waited because the queue was full.
  case waitedForRoom(duration: Duration)
  /// The disk is full, and appends wait for space.
  case parked
  /// The log finished a segment and began the next one.
  case rolled(segment: UInt64, duration: Duration)
  /// Sealing compressed a finished segment again.
  case sealed(Sealed)
  /// Sealing left a segment as it was written, and why.
  case notSealed(segment: UInt64, reason: String)
  /// Retention has run, and removed what it reports.
  case trimmed(RetentionReport, duration: Duration)
  /// A reader needed a block.
  case readBlock(Read)
  /// A cursor moved, and the move is on stable storage.
  case movedCursor(CursorMove)
  /// The log has released its lock. The error is what closing it met.
  case closed(LogError?)

  /// One block, as it was written.
  public struct Block: Hashable, Sendable {
    /// The block's records.
    public var offsets: Range<Offset>
    /// Of the records, with one byte between them.
    public var rawBytes: Int
    /// In the file, padding included.
    public var storedBytes: Int
    /// To complete and to write the block. Encoder threads compress at the same time.
    public var duration: Duration
  }

  /// Appends that became one block.
  public struct Group: Hashable, Sendable {
    /// How many appends.
    public var appends: Int
    /// The group's records.
    public var offsets: Range<Offset>
    /// Since the first of them entered the queue.
    public var latency: Duration
    /// Bytes still in the queue.
    public var queuedBytes: Int
    /// The most bytes the queue takes.
    public var queueLimit: Int
  }

  /// A segment that sealing made smaller.
  public struct Sealed: Hashable, Sendable {
    /// The segment's number.
    public var segment: UInt64
    /// Bytes of the file before sealing.
    public var bytesBefore: UInt64
    /// Bytes of the file after sealing.
    public var bytesAfter: UInt64
    /// Includes the time spent waiting to keep the configured rate.
    public var duration: Duration
  }

  /// A block that a reader needed.
  public struct Read: Hashable, Sendable {
    /// In memory, decoded.
    public var bytes: Int
    /// Another reader had already decoded it.
    public var wasCached: Bool
    /// To find, read, validate and decompress it; zero where it was cached.
    public var duration: Duration
  }

  /// A durable move of a cursor.
  public struct CursorMove: Hashable, Sendable {
    /// What kind of move.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
      /// The cursor stored a batch's range.
      case begin
      /// The consumer confirmed a batch.
      case commit
      /// To another position, or past a gap.
      case seek
    }
    /// The cursor's name.
    public var cursor: String
    /// What kind of move.
    public var kind: Kind
    /// Where the cursor is now.
    public var committed: Offset
    /// Where the log ends for readers.
    public var end: Offset
    /// Includes one sync.
    public var duration: Duration
  }
}

/// Calls several observers, one after the other.
public struct LogObservers: LogObserver {
  private let all: [any LogObserver]

  /// Calls these observers, in this order.
  public init(_ all: [any LogObserver]) { self.all = all }

  /// Passes the event to each observer in turn.
  public func observe(_ event: LogObserverEvent) {
    for observer in all { observer.observe(event) }
  }
}

/// An observer and the clock that measures for it. Costs one comparison without an observer.
struct Observation: Sendable {
  private let observer: (any LogObserver)?
  private let clock: any MonotonicClock

  init(_ observer: (any LogObserver)? = nil, clock: any MonotonicClock = SystemMonotonicClock()) {
    self.observer = observer
    self.clock = clock
  }

  /// Now, in nanoseconds; 0 without an observer.
  func start() -> Int64 { observer == nil ? 0 : clock.now() }

  /// Reports an event that began at `start`. The event is made only when there is an observer.
  func tell(since start: Int64, _ event: (Duration) -> LogObserverEvent) {
    guard let observer else { return }
    observer.observe(event(.nanoseconds(max(0, clock.now() - start))))
  }

  func tell(_ event: @autoclosure () -> LogObserverEvent) { observer?.observe(event()) }
}
