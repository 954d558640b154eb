/// Told what a log does, a group of appends or a block at a time, never a record at a time.
///
/// Nobody is told anything by default, and then nothing is measured either. Set ``LogEnvironment/observer`` to be told.
/// `PenstockMetrics` has observers that make metrics and traces of it.
///
/// Called from the log's own threads and from readers' tasks, any number at once; they wait for it. So it must return soon and
/// must not call the log.
public protocol LogObserver: Sendable {
  func observe(_ notice: LogObserverEvent)
}

/// Something that a log did. More cases may come: end a `switch` with `default`.
public enum LogObserverEvent: Sendable {
  /// The log was opened, and recovered where that was needed.
  case opened(RecoveryReport, duration: Duration)
  /// A block was compressed and written. Not durable yet.
  case wroteBlock(Block)
  /// What was written before is on stable storage.
  case synced(duration: Duration)
  /// Appends of one group are as safe as they asked, visible, and told so.
  case committed(Group)
  /// Appends failed together; nothing of them is in the log, unless the code is `.poisoned`: then it is open.
  case failed(appends: Int, LogError.Code)
  /// An append waited for room in the queue.
  case waitedForRoom(duration: Duration)
  /// The disk is full, and appends wait for room there.
  case parked
  /// A segment was finished and the next one begun.
  case rolled(segment: UInt64, duration: Duration)
  case sealed(Sealed)
  /// A segment stays as it was written, and why.
  case notSealed(segment: UInt64, reason: String)
  /// Retention has looked, and removed what it reports.
  case trimmed(RetentionReport, duration: Duration)
  /// A reader needed a block.
  case readBlock(Read)
  case movedCursor(CursorMove)
  /// The log's lock was let go of. The error is what closing it met.
  case closed(LogError?)

  /// One block, as it was written.
  public struct Block: Hashable, Sendable {
    public var offsets: Range<Offset>
    /// Of the records, with one byte between them.
    public var rawBytes: Int
    /// In the file, padding included.
    public var storedBytes: Int
    /// To complete and to write it; compressing goes on beside it.
    public var duration: Duration
  }

  /// Appends that became one block.
  public struct Group: Hashable, Sendable {
    public var appends: Int
    public var offsets: Range<Offset>
    /// Since the first of them came into the queue.
    public var latency: Duration
    /// Bytes in the queue behind it, and the most it takes.
    public var queuedBytes: Int
    public var queueLimit: Int
  }

  public struct Sealed: Hashable, Sendable {
    public var segment: UInt64
    /// Of the file, before and after.
    public var bytesBefore: UInt64
    public var bytesAfter: UInt64
    /// Waiting to keep the pace included.
    public var duration: Duration
  }

  public struct Read: Hashable, Sendable {
    /// In memory, decoded.
    public var bytes: Int
    /// Another reader had decoded it already.
    public var wasCached: Bool
    /// To find, read, prove and decompress it; zero where it was cached.
    public var duration: Duration
  }

  public struct CursorMove: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
      /// A batch was noted.
      case begin
      /// A batch was confirmed.
      case commit
      /// To another place, or past a gap.
      case seek
    }
    public var cursor: String
    public var kind: Kind
    /// Where the cursor stands now, and where the log ends for readers.
    public var committed: Offset
    public var end: Offset
    /// One sync included.
    public var duration: Duration
  }
}

/// Several observers, told one after the other.
public struct LogObservers: LogObserver {
  private let all: [any LogObserver]

  public init(_ all: [any LogObserver]) { self.all = all }

  public func observe(_ notice: LogObserverEvent) {
    for observer in all { observer.observe(notice) }
  }
}

/// An observer and the clock that measures for it. Costs one comparison where nobody observes.
package struct Observation: Sendable {
  private let observer: (any LogObserver)?
  private let clock: any MonotonicClock

  package init(_ observer: (any LogObserver)? = nil, clock: any MonotonicClock = SystemMonotonicClock()) {
    self.observer = observer
    self.clock = clock
  }

  /// Now, in nanoseconds; 0 where nobody observes.
  package func start() -> Int64 { observer == nil ? 0 : clock.now() }

  /// Tells what happened since `start`. What is told is made only where somebody observes.
  package func tell(since start: Int64, _ notice: (Duration) -> LogObserverEvent) {
    guard let observer else { return }
    observer.observe(notice(.nanoseconds(max(0, clock.now() - start))))
  }

  package func tell(_ notice: @autoclosure () -> LogObserverEvent) { observer?.observe(notice()) }
}
