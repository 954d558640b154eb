internal import Synchronization

/// Runs ``AppendQueue`` and ``LogWriter``: one thread that writes, syncs and answers; a few that compress ahead of it.
/// Any number of tasks and threads append.
final class Committer: Sendable {
  typealias Queue = AppendQueue<Waiter?, EncodedBlock>
  /// Resumed with their ticket; with nil when they were cancelled.
  typealias Admissions = AdmissionQueue<CheckedContinuation<AdmissionTicket?, Never>>

  /// The caller of an append.
  struct Waiter: Sendable {
    /// Identifies a waiting append when it is cancelled.
    var id: UInt64 = 0
    /// Does not wait for disk space.
    var isImpatient = false
    /// When it was offered, for the observer; 0 without one.
    var since: Int64 = 0
    let resume: @Sendable (Result<Receipt, LogError>) -> Void
  }

  struct State {
    var queue: Queue
    /// Tasks that wait for space in the queue.
    var admissions = Admissions()
    var nextID: UInt64 = 0
    /// Cancelled appends that have not returned.
    var cancelled: Set<UInt64> = []
    /// Commits so far, and whether a sync of the commit point is planned for the next quiet time.
    var commits: UInt64 = 0
    var isCommitPointSyncPlanned = false
    /// Whether another attempt to write is planned while the disk is full.
    var isRetryPlanned = false
    var isFinished = false
    /// The error that ended the log early.
    var failure: LogError?
    var whenFinished: [@Sendable () -> Void] = []
    /// The callers that wait for a sync.
    var syncs = SyncWaiters<@Sendable (LogError?) -> Void>()
    /// Blocks that neither an encoder nor a commit uses.
    var free: [EncodedBlock] = []
    /// Threads that compress: how many there are, and how many of them are idle.
    var encoders = 0
    var idleEncoders = 0

    var wantsCommitter: Bool { queue.wantsCommitter || syncs.isDue(writtenUpTo: queue.writtenEnd) }

    /// Takes back appends that were cancelled or do not wait, once the disk is full.
    mutating func withdraw() -> [Queue.Pending] {
      guard queue.isParked else { return [] }
      let withdrawn = queue.withdraw { ticket in
        ticket.map { $0.isImpatient || cancelled.contains($0.id) } ?? false
      }
      if !withdrawn.isEmpty { syncs.shrink(to: queue.acceptedEnd) }
      return withdrawn
    }

    /// Accepts a batch, if it may enter now: appends that wait for space come first.
    mutating func offer(
      _ batch: RecordBatch, _ durability: Durability, _ ticket: Waiter?, admission: AdmissionTicket?
    ) -> Queue.Offer {
      if let admission {
        admissions.end(admission)
      } else if !queue.isEnding,
        !admissions.isEmpty || !queue.hasSpace(for: batch.payload.count, besides: admissions.reservedBytes)
      {
        return .full
      }
      return queue.offer(batch, durability: durability, ticket: ticket)
    }

    /// The waiters that are admitted now.
    mutating func admit() -> Admitted { admissions.admit { queue.hasSpace(for: $0, besides: $1) } }
  }

  typealias Admitted = [(ticket: AdmissionTicket, waiter: CheckedContinuation<AdmissionTicket?, Never>)]

  /// The monitor's channels.
  enum Channel { static let (committer, encoders) = (0, 1) }

  let monitor: Monitor<State>
  /// Raised whenever there is work for the committer, for a busy-waiting one.
  let calls = Atomic<Int>(0)
  let configuration: LogConfiguration
  /// Runs retention on another thread, then calls `then` with whether it removed anything.
  let trim: @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  let sleep: @Sendable (Duration) async -> Void
  let commitPointSyncDelay: Duration?
  let observation: Observation

  /// Starts the thread, which owns the writer from now on.
  init(
    _ writer: sending LogWriter, _ configuration: LogConfiguration, _ environment: LogEnvironment,
    trim: @escaping @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void
  ) {
    self.configuration = configuration
    sleep = environment.sleep
    commitPointSyncDelay = environment.commitPointSyncDelay
    observation = environment.observation
    self.trim = trim
    // Four blocks for each encoder, because blocks being written and synced count too. While two are ready for the next
    // sync, the encoder continues.
    let queue = Queue(
      nextOffset: writer.end, blockBytes: configuration.blockBytes, queueBytes: configuration.queueBytes,
      slots: configuration.encoders * 4)
    monitor = Monitor(State(queue: queue), channels: 2)
    let owned = Owned(writer)
    LogThread.start(name: "penstock-commit") { [self] in run(owned.writer) }
  }

  /// Passes the writer to its thread.
  ///
  /// `@unchecked Sendable`: it crosses once, from the task that opened the log to the thread, which alone uses it.
  private final class Owned: @unchecked Sendable {
    let writer: LogWriter
    init(_ writer: sending LogWriter) { self.writer = writer }
  }

  /// Changes the state; wakes the threads that then have work, and the appends that then have space. Starts an encoder
  /// if one is missing.
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
    for (ticket, waiter) in admitted { waiter.resume(returning: ticket) }
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
