import PenstockDelivery
package import PenstockLog
import PenstockSupport
import Synchronization

/// Why an append with an idempotency key was not made.
package enum KeyedAppendError: Error, Sendable {
  /// The key came before with other records.
  case otherContent
  /// Too many of them wait.
  case overloaded
  /// Nothing was appended, because the journal of keys cannot be written.
  case unkept(LogError)
  case log(LogError)
}

/// Appends batches under idempotency keys: each key once, whatever crashes in between, with one sync before the answer.
///
/// The log remembers producers: for each the number of its newest append, and a few bytes that were appended with it, all in
/// one block with the records. Here a few dozen producers of the service's own, *lanes*, take turns; each append takes a free one
/// and puts its key's hash there. So after a crash the log itself names the key of every lane's newest append. All earlier
/// ones are in the journal, because a lane is given back only when the journal has, durably, what the lane did last.
///
/// Invariant: for every append under a key that is in the log, the journal has the key, or the key is its lane's source
/// position in the log's table of producers.
package final class IdempotentAppender: Sendable {
  /// Appends under keys that go on at once. They share blocks and syncs, so more would gain little.
  package static let standardLanes = 64
  private static let mostWaiting = 4096

  private typealias Promise = CheckedContinuation<Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError>, Never>

  private typealias LanePromise = CheckedContinuation<Result<Producer, KeyedAppendError>, Never>

  private typealias Note = Task<Void, Never>

  private struct State {
    var table: IdempotencyKeyTable
    /// Nil until it could be opened. Then nothing is known of earlier keys, and no request with a key is taken.
    var journal: IdempotencyJournal?
    var free: [Producer]
    var waiting: [LanePromise] = []
    /// Why the journal takes nothing at present, or any more. As long as it does not, no lane comes back: requests take those
    /// that are left, and nobody waits for one.
    var trouble: LogError?
    var isEnding = false
    var followers: [Hash128: [Promise]] = [:]
    /// Appends whose journal entry is still to be written.
    var notes: [UInt64: Note] = [:]
    var nextNote: UInt64 = 0
    /// Tries to open the journal again.
    var opening: Note?
  }
  private let log: Log
  private let openJournal: @Sendable ((KeyedAppend, Int64) -> Void) async throws(LogError) -> IdempotencyJournal
  private let clock: KeyClock
  private let retryInterval: Duration
  private let onTrouble: @Sendable (LogError?) -> Void
  private let state: Mutex<State>

  /// Takes the lanes, and reads back what is known.
  ///
  /// A journal that is damaged costs the keys that are lost, and says so (``damage``). One that cannot be opened for
  /// another reason may still have every key: requests with keys are then refused (``KeyedAppendError/unkept(_:)``)
  /// until it can.
  ///
  /// - Parameters:
  ///   - journal: where the journal is kept, beside the log.
  ///   - capacity: keys that are remembered at most.
  ///   - window: for how long, in seconds.
  ///   - lanes: how many; fewer than before leaves keys behind that only their lanes know.
  ///   - retryInterval: how long until a journal whose disk is full, or that cannot be opened, is tried again.
  ///   - clock: by which keys are forgotten. The machine's is held against a clock that never jumps, so that one wrong
  ///     reading forgets nothing; another is believed as it is, unless `pace` is given.
  ///   - onTrouble: called when the journal takes nothing any more, and with nil when it does again.
  /// - Throws: what the log has against its lanes.
  package static func open(
    _ log: Log, journal path: String, capacity: Int, window: Int64, lanes: Int = standardLanes,
    retryInterval: Duration = .seconds(1), clock: any WallClock = SystemWallClock(),
    pace: (any MonotonicClock)? = nil, environment: LogEnvironment = .system,
    onTrouble: @escaping @Sendable (LogError?) -> Void = { _ in }
  ) async throws(LogError) -> IdempotentAppender {
    var all: [Producer] = []
    for number in 0..<lanes {
      let lane = try await log.producer(named: laneName(number))
      // What the log has forgotten are appends whose keys the journal has, or records that are lost.
      if lane.history == .uncertain { try lane.resume(after: lane.lastSequence ?? 0) }
      all.append(lane)
    }
    let appender = IdempotentAppender(
      log, IdempotencyKeyTable(capacity: capacity, window: window), KeyClock(clock, pace: pace), retryInterval,
      onTrouble
    ) { (entry) throws(LogError) in
      // Lanes note their keys in any order: among the newest entries there may be older keys, a lane's at most twice.
      let newest = max(1, capacity) + 2 * lanes
      return try await IdempotencyJournal.open(
        at: path, window: window, newest: newest, environment: environment, entry)
    }
    do throws(LogError) { try await appender.begin(all) } catch { appender.beginLater(all, because: error) }
    return appender
  }

  package static func laneName(_ number: Int) -> String { "penstock.key.\(number)" }

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

  /// Opens the journal, and takes up what it and the lanes know.
  private func begin(_ lanes: [Producer]) async throws(LogError) {
    var table = state.withLock { $0.table }
    let journal = try await openJournal { table.restore($0, at: $1) }
    clock.begin(newest: table.newestSeconds)
    let now = seconds
    var (free, unnoted): ([Producer], [(lane: Producer, append: KeyedAppend, seconds: Int64)]) = ([], [])
    for lane in lanes {
      // Also where the log is not certain that this is the newest: what it has is in the log.
      guard let newest = KeyedAppend(source: lane.source, first: lane.lastOffsets?.lowerBound),
        !table.knows(newest)
      else {
        free.append(lane)
        continue
      }
      // As old as the append: a key that was forgotten does not count from this start on.
      let seconds = await appendSeconds(newest.first, at: now)
      table.restore(newest, at: seconds)
      unnoted.append((lane, newest, seconds))
    }
    table.arrange(at: now)
    // What is forgotten needs no note.
    free += unnoted.filter { !table.knows($0.append) }.map(\.lane)
    unnoted.removeAll { !table.knows($0.append) }
    let taken = (table, free)
    state.withLock { ($0.table, $0.free, $0.journal) = (taken.0, taken.1, journal) }
    for (lane, append, seconds) in unnoted { noteSoon(append, at: seconds, lane: lane) }
  }

  /// The journal cannot be opened now: tries again until it can, or ``end()``.
  private func beginLater(_ lanes: [Producer], because error: LogError) {
    state.withLock { $0.trouble = error }
    onTrouble(error)
    let opening = Task { [self] in
      while true {
        // Cancelled by ``close()``.
        do { try await Task.sleep(for: retryInterval) } catch { return }
        do throws(LogError) {
          try await begin(lanes)
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

  /// When the record at an offset was appended. Where it is gone, when the next one was, which is later; where there is
  /// none, or it cannot be told: now.
  private func appendSeconds(_ offset: Offset?, at now: Int64) async -> Int64 {
    guard let offset else { return now }
    var place = max(offset, log.first)
    while place < log.end {
      do throws(LogError) {
        guard let batch = try await log.records(from: place, maxRecords: 1, maxBytes: 1) else { return now }
        var time: Timestamp?
        batch.forEachRecord { time = time ?? $0.appendTime }
        return min(now, time.map { $0.nanoseconds / 1_000_000_000 } ?? now)
      } catch {
        guard let gap = error.gap, gap.end > place else { return now }
        place = gap.end
      }
    }
    return now
  }

  /// What of the journal is lost, for people; nil where nothing is.
  package var damage: String? { state.withLock { $0.journal?.damage } }
  /// Keys that are remembered.
  package var count: Int { state.withLock { $0.table.count } }
  /// Why the journal takes nothing; nil while it does. A full disk passes, anything else needs a restart.
  package var trouble: LogError? { state.withLock { $0.trouble } }

  /// Appends the batch unless the key has been used for it before; durable when it returns. Goes on when its task is
  /// cancelled: whether a client waits changes nothing about what is in the log.
  package func append(
    _ batch: RecordBatch, key: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    // Whether the key came before is in the journal.
    let unopened = state.withLock { state in state.journal == nil ? state.trouble : nil }
    if let unopened { return .failure(.unkept(unopened)) }
    let content = Hash128(Digest.sha256(batch.payload))
    switch state.withLock({ $0.table.claim(key, content: content, at: seconds) }) {
    case .known(let known): return .success((known, true))
    case .otherContent: return .failure(.otherContent)
    case .underWay:
      return await follow(key, content, batch)
    case .claimed: return await lead(batch, key, content)
    }
  }

  /// Waits for the request that came first.
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
          // The first one has just failed; this one is as if it had failed with it, and may be sent again.
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
    // Of its own, so that a client that goes away leaves nothing half done.
    await Task { [self] in
      let result = await appendOnLane(batch, key, content)
      let followers = state.withLock { state in
        if case .failure = result { state.table.release(key) }
        return state.followers.removeValue(forKey: key) ?? []
      }
      for follower in followers { follower.resume(returning: result.map { ($0.0, true) }) }
      return result
    }.value
  }

  private func appendOnLane(
    _ batch: RecordBatch, _ key: Hash128, _ content: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
    let lane: Producer
    switch await takeLane() {
    case .success(let taken): lane = taken
    case .failure(let refusal): return .failure(refusal)
    }
    var append = KeyedAppend(key: key, content: content, count: UInt32(clamping: batch.count), first: nil)
    do throws(LogError) {
      let receipt = try await lane.append(batch, sequence: (lane.lastSequence ?? 0) + 1, source: append.source)
      append.first = receipt.offsets.lowerBound
    } catch {
      giveBack(lane)
      return .failure(.log(error))
    }
    let (settled, now) = (append, seconds)
    let seconds = state.withLock { $0.table.settle(settled, at: now) }
    noteSoon(settled, at: seconds, lane: lane)
    return .success((settled, false))
  }

  private func noteSoon(_ append: KeyedAppend, at seconds: Int64, lane: Producer) {
    state.withLock { state in
      state.nextNote += 1
      let number = state.nextNote
      state.notes[number] = Task { [self] in await note(append, at: seconds, lane: lane, number: number) }
    }
  }

  /// Writes the journal's entry, then gives the lane back. A journal that cannot be written keeps the lane: nothing is
  /// forgotten, and in the end requests with keys are refused.
  private func note(_ append: KeyedAppend, at seconds: Int64, lane: Producer, number: UInt64) async {
    let isNoted = await isNoted(append, at: seconds)
    state.withLock { $0.notes[number] = nil }
    if isNoted { giveBack(lane) }
  }

  private func isNoted(_ append: KeyedAppend, at seconds: Int64) async -> Bool {
    while true {
      do throws(LogError) {
        // A log that acknowledges before it syncs may still lose what the journal would then swear to.
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
        for waiting in waiting { waiting.resume(returning: .failure(.unkept(error))) }
        if !isPassing || isEnding { return false }
        // Cancelled by ``close()``.
        do { try await Task.sleep(for: retryInterval) } catch { return false }
      }
    }
  }

  private func takeLane() async -> Result<Producer, KeyedAppendError> {
    await withCheckedContinuation { promise in
      let answer: Result<Producer, KeyedAppendError>? = state.withLock { state in
        if state.isEnding { return .failure(.log(Self.ending)) }
        if let lane = state.free.popLast() { return .success(lane) }
        if let trouble = state.trouble { return .failure(.unkept(trouble)) }
        if state.waiting.count >= Self.mostWaiting { return .failure(.overloaded) }
        state.waiting.append(promise)
        return nil
      }
      if let answer { promise.resume(returning: answer) }
    }
  }

  private static let ending = LogError(.closed, "the service is being shut down")

  private func giveBack(_ lane: Producer) {
    let waiting: LanePromise? = state.withLock { state in
      if state.waiting.isEmpty {
        state.free.append(lane)
        return nil
      }
      return state.waiting.removeFirst()
    }
    waiting?.resume(returning: .success(lane))
  }

  private var seconds: Int64 { clock.seconds }

  /// From now on nothing is appended, and nobody waits for a lane.
  package func end() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      state.isEnding = true
      return state.waiting
    }
    for waiting in waiting { waiting.resume(returning: .failure(.log(Self.ending))) }
  }

  /// Waits for what is still to be noted, unless the journal takes nothing, and closes it. What is not noted stays known through
  /// its lane, and is noted at the next opening.
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
