internal import Synchronization

/// The shell around ``AppendQueue`` and ``LogWriter``: one thread that writes, syncs and tells; a few that compress ahead of
/// it; any number of tasks and threads that append.
package final class Committer: Sendable {
  typealias Queue = AppendQueue<Waiter?, EncodedBlock>
  /// Resumed with their turn; with nil when they were cancelled.
  typealias Line = AdmissionQueue<CheckedContinuation<AdmissionTicket?, Never>>

  /// Whoever waits for an append.
  struct Waiter: Sendable {
    /// By which a waiting append is found again when it is cancelled.
    var id: UInt64 = 0
    /// Does not wait for room on the disk.
    var isImpatient = false
    /// When it was offered, for the observer; 0 without one.
    var since: Int64 = 0
    let resume: @Sendable (Result<Receipt, LogError>) -> Void
  }

  struct State {
    var queue: Queue
    /// Tasks that wait for room.
    var line = Line()
    var nextID: UInt64 = 0
    /// Appends that were cancelled and have not returned.
    var cancelled: Set<UInt64> = []
    /// Commits so far, and whether a sync of the commit point is planned for when there are no more for a while.
    var commits: UInt64 = 0
    var isCommitPointSyncPlanned = false
    /// Whether somebody will look for room on the disk again.
    var isLookingForRoom = false
    var isFinished = false
    /// What ended the log before its time.
    var failure: LogError?
    var whenFinished: [@Sendable () -> Void] = []
    /// Whoever waits for a sync.
    var syncs = SyncWaiters<@Sendable (LogError?) -> Void>()
    /// Blocks that no encoder and no commit has.
    var free: [EncodedBlock] = []
    /// Threads that compress: how many there are, and how many of them have nothing to do.
    var encoders = 0
    var idleEncoders = 0

    var wantsCommitter: Bool { queue.wantsCommitter || syncs.isDue(writtenUpTo: queue.writtenEnd) }

    /// Takes back those that were cancelled or do not wait, once the disk is full.
    mutating func withdraw() -> [Queue.Pending] {
      guard queue.isParked else { return [] }
      let withdrawn = queue.withdraw { ticket in
        ticket.map { $0.isImpatient || cancelled.contains($0.id) } ?? false
      }
      if !withdrawn.isEmpty { syncs.shrink(to: queue.acceptedEnd) }
      return withdrawn
    }

    /// Takes a batch in, if it is its turn: who stands in line for room comes first.
    mutating func offer(_ batch: RecordBatch, _ durability: Durability, _ ticket: Waiter?, turn: AdmissionTicket?)
      -> Queue.Offer
    {
      if let turn {
        line.end(turn)
      } else if !queue.isEnding, !line.isEmpty || !queue.hasRoom(for: batch.payload.count, beside: line.keptBytes) {
        return .full
      }
      return queue.offer(batch, durability: durability, ticket: ticket)
    }

    /// Those whose turn it is now.
    mutating func admit() -> Admitted { line.admit { queue.hasRoom(for: $0, beside: $1) } }
  }

  typealias Admitted = [(turn: AdmissionTicket, waiter: CheckedContinuation<AdmissionTicket?, Never>)]

  /// Who waits on the monitor.
  enum Channel { static let (committer, encoders) = (0, 1) }

  let monitor: Monitor<State>
  /// Raised whenever there is something for the committer to do, for one that waits awake.
  let calls = Atomic<Int>(0)
  let configuration: LogConfiguration
  /// Runs retention on another thread, then says whether it removed anything.
  let trim: @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  let sleep: @Sendable (Duration) async -> Void
  let commitPointSyncDelay: Duration?
  let observation: Observation

  /// Starts the thread, which owns the writer from here on.
  init(
    _ writer: sending LogWriter, _ configuration: LogConfiguration, _ environment: LogEnvironment,
    trim: @escaping @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  ) {
    self.configuration = configuration
    sleep = environment.sleep
    commitPointSyncDelay = environment.commitPointSyncDelay
    observation = environment.observation
    self.trim = trim
    // Four blocks for each encoder: those that are being written and synced count too, and while two are ready for the next sync
    // the encoder goes on.
    let queue = Queue(
      nextOffset: writer.end, blockBytes: configuration.blockBytes, queueBytes: configuration.queueBytes,
      slots: configuration.encoders * 4)
    monitor = Monitor(State(queue: queue), channels: 2)
    let owned = Owned(writer)
    LogThread.start(name: "penstock-commit") { [self] in run(owned.writer) }
  }

  /// Hands the writer to its thread.
  ///
  /// `@unchecked Sendable`: it crosses once, from the task that opened the log to the thread, which alone uses it.
  private final class Owned: @unchecked Sendable {
    let writer: LogWriter
    init(_ writer: sending LogWriter) { self.writer = writer }
  }

  /// Changes the state, and wakes whoever has something to do then, or has room now. An encoder that is missing is started.
  func change<Result>(_ body: (inout State) -> Result) -> Result {
    var wakesCommitter = false
    var encoder: (isMissing: Bool, isWanted: Bool) = (false, false)
    var admitted: Admitted = []
    let result = monitor.withLock { state in
      let result = body(&state)
      admitted = state.admit()
      wakesCommitter = state.wantsCommitter
      encoder.isWanted = state.queue.wantsEncoder
      if encoder.isWanted, state.idleEncoders == 0, state.encoders < configuration.encoders {
        state.encoders += 1
        encoder.isMissing = true
      }
      return result
    }
    for (turn, waiter) in admitted { waiter.resume(returning: turn) }
    if wakesCommitter {
      calls.wrappingAdd(1, ordering: .releasing)
      monitor.signal(Channel.committer)
    }
    if encoder.isMissing {
      LogThread.start(name: "penstock-encode") { [self] in encode() }
    } else if encoder.isWanted {
      monitor.signal(Channel.encoders)
    }
    return result
  }
}
