internal import Logging
internal import Synchronization

/// A durable, compressed, append-only log of records in one directory, written by one process.
///
/// ```swift
/// let log = try await Log.open(at: "/var/lib/shop/events")
/// var batch = RecordBatch()
/// batch.append(#"{"event":"Home Page","ts":1630476856}"#)
/// let receipt = try await log.append(batch)          // durable when it returns
/// for try await record in log.records(from: .beginning) { print(record.offset, record.text) }
/// try await log.close()
/// ```
///
/// The way of a record: `append` → queue → block → segment → sync → readers. No record is visible before it is durable,
/// unless the log was opened with a weaker ``Durability``.
///
/// All methods may be called from any task at any time. Asynchronous writes run on the log's own threads. Synchronous
/// methods that read or sync block the calling thread; each says so.
public final class Log: ReadableLog {
  /// What recovery found and did.
  public let recovery: RecoveryReport
  /// The directory.
  public let path: String
  /// The log's UUID, as 32 hexadecimal digits.
  public let logID: String
  private let configuration: LogConfiguration
  /// How safe an append is when it returns, unless it asks for another level.
  package var durability: Durability { configuration.durability }
  let committer: Committer
  package let producers: ProducerRegistry
  private let trimmer: LogTrimmer
  private let worker: Worker
  /// Removes files, on which no cursor waits. Nil where retention keeps everything.
  private let remover: Worker?
  /// What reads share; not for use outside this package.
  public let parts: LogParts
  /// Runs retention on the thread that moves cursors.
  private let trimSoon: @Sendable (_ then: @escaping @Sendable (_ hasDropped: Bool) -> Void) -> Void

  /// Opens the log at `path`, or creates one in a new or empty directory. It takes the writer's lock, recovers the log
  /// and raises the epoch. It reads at most one segment whole.
  ///
  /// It waits up to ten seconds for another process that only recovers the log, as `penstock deliver` does before it
  /// reads.
  ///
  /// Throws `.locked` when another process writes the log, `.notALog` when the directory holds other files,
  /// `.invalidConfiguration`, `.futureFormat`, `.readOnlyFormat`, `.damaged`, `.undecidableTail` (strict recovery
  /// only), `.noSpace`, `.io`.
  public static func open(
    at path: String, configuration: LogConfiguration = LogConfiguration(), environment: LogEnvironment = .system
  ) async throws(LogError) -> Log {
    for attempt in 0..<LockRetryPolicy.attempts {
      do throws(LogError) {
        return try await openNow(path, configuration, environment)
      } catch {
        guard error.code == .locked,
          LockRetryPolicy.isWorthwhile(attempt, LogDirectory.holder(environment.fileSystem, LogPaths(path)))
        else { throw error }
      }
      do { try await Task.sleep(for: LockRetryPolicy.pause) } catch { break }
    }
    return try await openNow(path, configuration, environment)
  }

  private static func openNow(
    _ path: String, _ configuration: LogConfiguration, _ environment: LogEnvironment
  ) async throws(LogError) -> Log {
    let worker = Worker(name: "penstock-io")
    return try await worker.run { () throws(LogError) in
      let start = environment.observation.start()
      let writer = try LogOpening.open(path, configuration, environment)
      environment.observation.tell(since: start) { [recovery = writer.recovery] in .opened(recovery, duration: $0) }
      let log = Log(writer, path, configuration, environment, worker)
      log.trimSoon { _ in }
      return log
    }
  }

  private init(
    _ writer: sending LogWriter, _ path: String, _ configuration: LogConfiguration, _ environment: LogEnvironment,
    _ worker: Worker
  ) {
    self.path = path
    self.configuration = configuration
    recovery = writer.recovery
    logID = LogMeta.hex(writer.logID)
    let cursors = CursorRegistry(
      environment, LogPaths(path), logID: writer.logID, view: writer.view, worker: worker)
    producers = writer.producers
    let trimmer = writer.trimmer
    let logger = environment.logger
    let remover = configuration.retention.keepsEverything ? nil : Worker(name: "penstock-remove")
    let tell: @Sendable (LogError) -> Void = { error in
      if error.code != .closed { logger.error("retention could not do its work", metadata: ["error": "\(error)"]) }
    }
    trimSoon = { then in
      guard let remover else { return then(false) }
      worker.start {
        var hasDropped = false
        do throws(LogError) {
          let report = try trimmer.trim(held: cursors.holders, take: cursors.take, removesFiles: false)
          hasDropped = report.droppedSegments > 0
        } catch { tell(error) }
        guard trimmer.hasLeftovers else { return then(hasDropped) }
        remover.start { [hasDropped] in
          do throws(LogError) { try trimmer.removeDropped { then(true) } } catch { tell(error) }
          then(hasDropped)
        }
      }
    }
    self.trimmer = trimmer
    self.worker = worker
    self.remover = remover
    committer = Committer(writer, configuration, environment, trim: trimSoon)
    parts = LogParts(
      writer.view, cursors, lifetime: LogLifetime(committer, cursors, environment.logger, path: path))
  }

  /// Appends the batch, all of it or nothing. Returns when it is as safe as asked; by default as the log was
  /// configured.
  ///
  /// Waits while the queue is full. Cancelling that wait throws `.cancelled` and writes nothing. A batch that has
  /// entered the queue is written, cancelled or not.
  ///
  /// Throws `.emptyBatch`, `.recordTooLarge` and `.batchTooLarge` before anything is written, `.closed`, and
  /// `.poisoned` after a failed write or sync. Throws `.noSpace` when there is no space for a next segment: nothing was
  /// written, and appends work again once there is space. With ``WhenFull/wait`` it waits for space instead.
  @discardableResult
  public func append(_ batch: RecordBatch, durability: Durability? = nil) async throws(LogError) -> Receipt {
    try await committer.append(batch, durability ?? configuration.durability)
  }

  /// Appends one record; see ``append(_:durability:)-(RecordBatch,_)``.
  @discardableResult
  public func append(_ record: String, durability: Durability? = nil) async throws(LogError) -> Receipt {
    try await append(contentsOf: CollectionOfOne(record.utf8), durability: durability)
  }

  /// Appends the records, all of them or nothing; see ``append(_:durability:)-(RecordBatch,_)``.
  @discardableResult
  public func append(
    contentsOf records: some Sequence<some Sequence<UInt8>>, durability: Durability? = nil
  ) async throws(LogError) -> Receipt {
    var batch = RecordBatch()
    for record in records { batch.append(record) }
    return try await append(batch, durability: durability)
  }

  /// Like ``append(_:durability:)-(RecordBatch,_)``, but throws `.overloaded` when the queue is full, or when other
  /// appends wait for space in it.
  @discardableResult
  public func tryAppend(_ batch: RecordBatch, durability: Durability? = nil) async throws(LogError) -> Receipt {
    try await committer.tryAppend(batch, durability ?? configuration.durability)
  }

  /// Appends the batch, all of it or nothing, as `.accepted`, and returns at once: for callers that are not
  /// asynchronous and must not wait.
  ///
  /// Nothing is durable when it returns. The batch is in the process's memory. It is lost with the process, and when
  /// the disk is full; the offsets are a forecast. ``sync()`` and ``syncBlockingThread()`` make it durable, or throw.
  /// It takes one lock for a moment, and never waits for the queue, for the disk or for another append.
  ///
  /// Throws `.overloaded` when the queue is full or other appends wait for space in it, `.emptyBatch`,
  /// `.recordTooLarge`, `.batchTooLarge`, `.closed`, and `.poisoned` after a failed write or sync.
  @discardableResult
  public func appendWithoutWaiting(_ batch: RecordBatch) throws(LogError) -> Receipt {
    try committer.appendWithoutWaiting(batch)
  }

  /// Returns when everything accepted before the call is on stable storage, whatever is appended meanwhile. A log of a
  /// durability weaker than `.disk` needs it, and so do appends that were only `.accepted`.
  ///
  /// Throws `.noSpace` when accepted records found no disk space, also before the call; each such loss is reported
  /// once. Throws `.poisoned`, `.closed`.
  public func sync() async throws(LogError) { try await committer.sync() }

  /// Like ``sync()``, for a thread of the caller's own. **Blocks the calling thread.** Never call it from a task: it
  /// would block one of the few threads that run all tasks.
  @available(*, noasync, message: "use sync()")
  public func syncBlockingThread() throws(LogError) { try committer.syncBlockingThread() }

  /// Removes now what ``LogConfiguration/retention`` allows. The log also does so when it is opened and after every
  /// segment. Returns what was removed and what keeps the rest. Durable when it returns.
  ///
  /// Throws `.poisoned`, `.closed`, and `.io`: then nothing was removed, or the next run or opening finishes the
  /// removal.
  @discardableResult
  public func trim() async throws(LogError) -> RetentionReport {
    let report = try await worker.run { [trimmer, cursors] () throws(LogError) in
      try trimmer.trim(held: cursors.holders, take: cursors.take, removesFiles: false)
    }
    if let remover, trimmer.hasLeftovers {
      try await remover.run { [trimmer] () throws(LogError) in try trimmer.removeDropped() }
    }
    if report.droppedSegments > 0 { committer.retryWrites() }
    return report
  }

  /// Writes what is queued, syncs, frees unused space and releases the lock. Cursors and readers end.
  ///
  /// Throws the error that ended the log, if a failed write or sync did: then records that were not acknowledged may be
  /// lost. Throws `.noSpace` when accepted records found no disk space and no ``sync()`` has reported it. The log is
  /// closed in every case.
  ///
  /// A log without a `close()` closes in the background, once the program holds no reference to it, its cursors, its
  /// producers and its readers. Errors are then only logged. Until it is closed, opening the log again throws
  /// `.locked`.
  public func close() async throws(LogError) {
    cursors.close()
    try await committer.close()
  }
}
