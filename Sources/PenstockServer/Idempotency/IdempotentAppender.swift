import PenstockDelivery
package import PenstockLog
import PenstockSupport
import Synchronization

/// Why an append with an idempotency key was not made.
package enum KeyedAppendError: Error, Sendable {
  /// The key was used with other records.
  case otherContent
  /// Too many requests with keys are waiting.
  case overloaded
  /// The journal of keys cannot be written, so nothing was appended.
  case journalUnavailable(LogError)
  case log(LogError)
}

/// Appends batches with idempotency keys: each key once, also across crashes, with one sync before the answer.
///
/// The log remembers producers. For each it stores the number of the newest append, and a few bytes of source position,
/// in the same block as the records. This type owns a pool of producers. Each append takes a free producer and stores
/// the hash of its key as the source position. After a crash the log therefore identifies the key of every producer's
/// newest append. All earlier keys are in the journal: a producer returns to the pool only when the journal durably
/// holds its newest key.
///
/// Invariant: the key of every append in the log is in the journal, or is its producer's source position in the log's
/// table of producers.
package final class IdempotentAppender: Sendable {
  private static let mostWaiting = 4096

  private typealias Promise = CheckedContinuation<Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError>, Never>

  private typealias ProducerPromise = CheckedContinuation<Result<Producer, KeyedAppendError>, Never>

  private typealias Note = Task<Void, Never>

  private struct State {
    var table: IdempotencyKeyTable
    /// Nil until it is open. Until then earlier keys are unknown, and requests with keys are refused.
    var journal: IdempotencyJournal?
    var free: [Producer]
    var waiting: [ProducerPromise] = []
    /// Why the journal accepts no entries. Until it does, no producer returns to the pool: requests use the remaining
    /// ones, and none waits for a producer.
    var trouble: LogError?
    var isEnding = false
    var followers: [Hash128: [Promise]] = [:]
    /// Tasks that write a journal entry.
    var notes: [UInt64: Note] = [:]
    var nextNote: UInt64 = 0
    /// The task that tries to open the journal again.
    var opening: Note?
  }
  private let log: Log
  private let openJournal: @Sendable ((KeyedAppend, Int64) -> Void) async throws(LogError) -> IdempotencyJournal
  private let clock: KeyClock
  private let retryInterval: Duration
  private let onTrouble: @Sendable (LogError?) -> Void
  private let state: Mutex<State>

  /// Opens the pool of producers, and restores the known keys.
  ///
  /// A damaged journal loses some keys, which ``damage`` reports. A journal that cannot be opened for another reason
  /// may still hold every key. Until it opens, requests with keys are refused with
  /// ``KeyedAppendError/journalUnavailable(_:)``.
  ///
  /// - Parameters:
  ///   - journal: the directory of the journal.
  ///   - options: how many keys are remembered, and for how long.
  ///   - onTrouble: called with the error when the journal stops accepting entries, and with nil when it accepts them
  ///     again.
  /// - Throws: the log's error when it cannot open the producers.
  package static func open(
    _ log: Log, journal path: String, options: IdempotencyOptions, environment: LogEnvironment = .system,
    onTrouble: @escaping @Sendable (LogError?) -> Void = { _ in }
  ) async throws(LogError) -> IdempotentAppender {
    var all: [Producer] = []
    for number in 0..<options.producers {
      let producer = try await log.producer(named: producerName(number))
      // The journal holds the keys of the appends that the log has forgotten, or those records are lost.
      if producer.history == .uncertain { try producer.resume(after: producer.lastSequence ?? 0) }
      all.append(producer)
    }
    let appender = IdempotentAppender(
      log, IdempotencyKeyTable(capacity: options.capacity, window: options.window),
      KeyClock(options.clock, pace: options.pace), options.retryInterval, onTrouble
    ) { (entry) throws(LogError) in
      // Entries are not in order of age: the newest ones may include up to two older entries of each producer.
      let newest = max(1, options.capacity) + 2 * options.producers
      return try await IdempotencyJournal.open(
        at: path, window: options.window, newest: newest, environment: environment, entry)
    }
    do throws(LogError) { try await appender.begin(all) } catch { appender.beginLater(all, because: error) }
    return appender
  }

  package static func producerName(_ number: Int) -> String { "penstock.key.\(number)" }

  private init(
    _ log: Log, _ table: IdempotencyKeyTable, _ clock: KeyClock, _ retryInterval: Duration,
    _ onTrouble: @escaping @Sendable (LogError?) -> Void,
    _ openJournal: @escaping @Sendable ((KeyedAppend, Int64) -> Void) async throws(LogError) -> IdempotencyJournal
  ) {
    self.log = log
    self.openJournal = openJournal
    self.clock = clock
    self.retryInterval = retryInterval
    self.onTrouble = onTrouble
    state = Mutex(State(table: table, free: []))
  }

  /// Opens the journal, and restores what the journal and the producers know.
  private func begin(_ producers: [Producer]) async throws(LogError) {
    var table = state.withLock { $0.table }
    let journal = try await openJournal { table.restore($0, at: $1) }
    clock.begin(newest: table.newestSeconds)
    let now = seconds
    var (free, unnoted): ([Producer], [(producer: Producer, append: KeyedAppend, seconds: Int64)]) = ([], [])
    for producer in producers {
      // Even when the log is uncertain that this append is the newest, the log holds it.
      guard let newest = KeyedAppend(source: producer.source, first: producer.lastOffsets?.lowerBound),
        !table.knows(newest)
      else {
        free.append(producer)
        continue
      }
      // As old as the append: a restart must not make a forgotten key count again.
      let seconds = await appendSeconds(newest.first, at: now)
      table.restore(newest, at: seconds)
      unnoted.append((producer, newest, seconds))
    }
    table.arrange(at: now)
    // A forgotten key needs no journal entry.
    free += unnoted.filter { !table.knows($0.append) }.map(\.producer)
    unnoted.removeAll { !table.knows($0.append) }
    let taken = (table, free)
    state.withLock { ($0.table, $0.free, $0.journal) = (taken.0, taken.1, journal) }
    for (producer, append, seconds) in unnoted { noteSoon(append, at: seconds, producer: producer) }
  }

  /// Tries to open the journal again until it succeeds or ``end()`` is called.
  private func beginLater(_ producers: [Producer], because error: LogError) {
    state.withLock { $0.trouble = error }
    onTrouble(error)
    let opening = Task { [self] in
      while true {
        // Cancelled by ``close()``.
        do { try await Task.sleep(for: retryInterval) } catch { return }
        do throws(LogError) {
          try await begin(producers)
          break
        } catch {
          state.withLock { $0.trouble = error }
        }
      }
      state.withLock { $0.trouble = nil }
      onTrouble(nil)
    }
    state.withLock { $0.opening = opening }
  }

  /// When the record at an offset was appended, in seconds. If that record is gone: when the next one was appended,
  /// which is later. If there is none, or the log cannot be read: now.
  private func appendSeconds(_ offset: Offset?, at now: Int64) async -> Int64 {
    guard let offset else { return now }
    var position = max(offset, log.first)
    while position < log.end {
      do throws(LogError) {
        guard let batch = try await log.records(from: position, maxRecords: 1, maxBytes: 1) else { return now }
        var time: Timestamp?
        batch.forEachRecord { time = time ?? $0.appendTime }
        return min(now, time.map { $0.nanoseconds / 1_000_000_000 } ?? now)
      } catch {
        guard let gap = error.gap, gap.end > position else { return now }
        position = gap.end
      }
    }
    return now
  }

  /// What the journal has lost, as text for an operator; nil when nothing is lost.
  package var damage: String? { state.withLock { $0.journal?.damage } }
  /// The number of remembered keys.
  package var count: Int { state.withLock { $0.table.count } }
  /// Why the journal accepts no entries; nil while it does. A full disk passes; any other error needs a restart.
  package var trouble: LogError? { state.withLock { $0.trouble } }

  /// Appends the batch unless its key was used before; durable when it returns. Cancelling the task does not stop the
  /// append: a client that disconnects must not change what is in the log.
  package func append(
    _ batch: RecordBatch, key: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    // Only the journal knows whether the key was used before.
    let unopened = state.withLock { state in state.journal == nil ? state.trouble : nil }
    if let unopened { return .failure(.journalUnavailable(unopened)) }
    let content = Hash128(Digest.sha256(batch.payload))
    switch state.withLock({ $0.table.claim(key, content: content, at: seconds) }) {
    case .known(let known): return .success((known, true))
    case .otherContent: return .failure(.otherContent)
    case .underWay:
      return await follow(key, content, batch)
    case .claimed: return await lead(batch, key, content)
    }
  }

  /// Waits for the result of the first request with this key.
  private func follow(
    _ key: Hash128, _ content: Hash128, _ batch: RecordBatch
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    await withCheckedContinuation { promise in
      let answer: Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError>? = state.withLock { state in
        switch state.table.claim(key, content: content, at: seconds) {
        case .underWay:
          state.followers[key, default: []].append(promise)
          return nil
        case .known(let known): return .success((known, true))
        case .otherContent: return .failure(.otherContent)
        case .claimed:
          // The first request has just failed. This one fails too, and the client may send it again.
          state.table.release(key)
          return .failure(.overloaded)
        }
      }
      if let answer { promise.resume(returning: answer) }
    }
  }

  private func lead(
    _ batch: RecordBatch, _ key: Hash128, _ content: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    // A separate task, so that a client that disconnects leaves no append unfinished.
    await Task { [self] in
      let result = await appendWithProducer(batch, key, content)
      let followers = state.withLock { state in
        if case .failure = result { state.table.release(key) }
        return state.followers.removeValue(forKey: key) ?? []
      }
      for follower in followers { follower.resume(returning: result.map { ($0.0, true) }) }
      return result
    }.value
  }

  private func appendWithProducer(
    _ batch: RecordBatch, _ key: Hash128, _ content: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    let producer: Producer
    switch await takeProducer() {
    case .success(let taken): producer = taken
    case .failure(let refusal): return .failure(refusal)
    }
    var append = KeyedAppend(key: key, content: content, count: UInt32(clamping: batch.count), first: nil)
    do throws(LogError) {
      let receipt = try await producer.append(
        batch, sequence: (producer.lastSequence ?? 0) + 1, source: append.source)
      append.first = receipt.offsets.lowerBound
    } catch {
      giveBack(producer)
      return .failure(.log(error))
    }
    let (settled, now) = (append, seconds)
    let seconds = state.withLock { $0.table.settle(settled, at: now) }
    noteSoon(settled, at: seconds, producer: producer)
    return .success((settled, false))
  }

  private func noteSoon(_ append: KeyedAppend, at seconds: Int64, producer: Producer) {
    state.withLock { state in
      state.nextNote += 1
      let number = state.nextNote
      state.notes[number] = Task { [self] in await note(append, at: seconds, producer: producer, number: number) }
    }
  }

  /// Writes the journal entry, then returns the producer to the pool. If the journal cannot be written, the producer
  /// stays out. No key is forgotten then; when the pool is empty, requests with keys are refused.
  private func note(_ append: KeyedAppend, at seconds: Int64, producer: Producer, number: UInt64) async {
    let isNoted = await isNoted(append, at: seconds)
    state.withLock { $0.notes[number] = nil }
    if isNoted { giveBack(producer) }
  }

  private func isNoted(_ append: KeyedAppend, at seconds: Int64) async -> Bool {
    while true {
      do throws(LogError) {
        // A log that acknowledges before it syncs may lose the append; the journal must not record it earlier.
        if log.durability < .disk { try await log.sync() }
        guard let journal = state.withLock({ $0.journal }) else { return false }
        try await journal.note(append, at: seconds)
        let wasTrouble = state.withLock { state in
          defer { state.trouble = nil }
          return state.trouble != nil
        }
        if wasTrouble { onTrouble(nil) }
        return true
      } catch {
        let isPassing = error.code == .noSpace || error.code == .overloaded
        let (waiting, isEnding, isNew) = state.withLock { state in
          defer { (state.waiting, state.trouble) = ([], error) }
          return (state.waiting, state.isEnding, state.trouble == nil)
        }
        if isNew { onTrouble(error) }
        for waiting in waiting { waiting.resume(returning: .failure(.journalUnavailable(error))) }
        if !isPassing || isEnding { return false }
        // Cancelled by ``close()``.
        do { try await Task.sleep(for: retryInterval) } catch { return false }
      }
    }
  }

  private func takeProducer() async -> Result<Producer, KeyedAppendError> {
    await withCheckedContinuation { promise in
      let answer: Result<Producer, KeyedAppendError>? = state.withLock { state in
        if state.isEnding { return .failure(.log(Self.ending)) }
        if let producer = state.free.popLast() { return .success(producer) }
        if let trouble = state.trouble { return .failure(.journalUnavailable(trouble)) }
        if state.waiting.count >= Self.mostWaiting { return .failure(.overloaded) }
        state.waiting.append(promise)
        return nil
      }
      if let answer { promise.resume(returning: answer) }
    }
  }

  private static let ending = LogError(.closed, "the service is being shut down")

  private func giveBack(_ producer: Producer) {
    let waiting: ProducerPromise? = state.withLock { state in
      if state.waiting.isEmpty {
        state.free.append(producer)
        return nil
      }
      return state.waiting.removeFirst()
    }
    waiting?.resume(returning: .success(producer))
  }

  private var seconds: Int64 { clock.seconds }

  /// Stops appending, and fails the requests that wait for a producer.
  package func end() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      state.isEnding = true
      return state.waiting
    }
    for waiting in waiting { waiting.resume(returning: .failure(.log(Self.ending))) }
  }

  /// Writes the remaining journal entries, unless the journal accepts none, and closes it. Each key that is not written
  /// stays known through its producer, and is written at the next opening.
  package func close() async throws(LogError) {
    end()
    let opening = state.withLock { $0.opening }
    opening?.cancel()
    await opening?.value
    let (notes, journal) = state.withLock { state in
      if state.trouble != nil { for note in state.notes.values { note.cancel() } }
      return (Array(state.notes.values), state.journal)
    }
    for note in notes { await note.value }
    try await journal?.close()
  }
}
