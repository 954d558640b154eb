package import PenstockLog
import PenstockSinks
import Synchronization

/// Why an append with an idempotency key was not made.
package enum KeyedAppendError: Error, Sendable {
  /// The key came before with other records.
  case otherContent
  /// Too many of them wait.
  case overloaded
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
package final class KeyedAppender: Sendable {
  /// Appends under keys that go on at once. They share blocks and syncs, so more would gain little.
  package static let standardLanes = 64
  private static let mostWaiting = 4096

  private typealias Promise = CheckedContinuation<Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError>, Never>

  private struct State {
    var table: KeyTable
    var free: [Producer]
    var waiting: [CheckedContinuation<Producer?, Never>] = []
    /// The journal takes nothing any more, and no lane comes back.
    var hasFailed = false
    var followers: [Hash128: [Promise]] = [:]
    /// Appends whose journal entry is still to be written.
    var notes: [UInt64: Task<Void, Never>] = [:]
    var nextNote: UInt64 = 0
  }
  private let journal: KeyJournal
  private let clock: any WallClock
  private let state: Mutex<State>

  /// Takes the lanes, and reads back what is known.
  ///
  /// - Parameters:
  ///   - journal: where the journal is kept, beside the log.
  ///   - capacity: keys that are remembered at most.
  ///   - window: for how long, in seconds.
  ///   - lanes: how many; fewer than before leaves keys behind that only their lanes know.
  package static func open(
    _ log: Log, journal path: String, capacity: Int, window: Int64, lanes: Int = standardLanes,
    clock: any WallClock = SystemWallClock(),
    environment: LogEnvironment = .system
  ) async throws -> KeyedAppender {
    var table = KeyTable(capacity: capacity, window: window)
    let journal = try await KeyJournal.open(
      at: path, window: window, newest: capacity, environment: environment
    ) { table.settle($0, at: $1) }
    let now = clock.now().nanoseconds / 1_000_000_000
    var free: [Producer] = []
    for number in 0..<lanes {
      let lane = try await log.producer(named: laneName(number))
      if lane.history == .uncertain {
        // What the log has forgotten are appends whose keys the journal has, or records that are lost.
        try lane.resume(after: lane.lastSequence ?? 0)
      } else if let newest = KeyedAppend(source: lane.source, first: lane.lastOffsets?.lowerBound) {
        if table.isUnknown(newest.key) { try await journal.note(newest, at: now) }
        table.settle(newest, at: now)
      }
      free.append(lane)
    }
    return KeyedAppender(journal, table, free, clock)
  }

  package static func laneName(_ number: Int) -> String { "penstock.key.\(number)" }

  private init(_ journal: KeyJournal, _ table: KeyTable, _ free: [Producer], _ clock: any WallClock) {
    self.journal = journal
    self.clock = clock
    state = Mutex(State(table: table, free: free))
  }

  /// Keys that are remembered.
  package var count: Int { state.withLock { $0.table.count } }

  /// Appends the batch unless the key has been used for it before; durable when it returns. Goes on when its task is
  /// cancelled: whether a client waits changes nothing about what is in the log.
  package func append(
    _ batch: RecordBatch, key: Hash128
  ) async -> Result<(KeyedAppend, isDuplicate: Bool), KeyedAppendError> {
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
    guard let lane = await takeLane() else { return .failure(.overloaded) }
    var append = KeyedAppend(key: key, content: content, count: UInt32(clamping: batch.count), first: nil)
    do throws(LogError) {
      let receipt = try await lane.append(batch, sequence: (lane.lastSequence ?? 0) + 1, source: append.source)
      append.first = receipt.offsets.lowerBound
    } catch {
      giveBack(lane)
      return .failure(.log(error))
    }
    let (settled, now) = (append, seconds)
    state.withLock { state in
      state.table.settle(settled, at: now)
      state.nextNote += 1
      let number = state.nextNote
      state.notes[number] = Task { [self] in await note(settled, at: now, lane: lane, number: number) }
    }
    return .success((settled, false))
  }

  /// Writes the journal's entry, then gives the lane back. A journal that cannot be written keeps the lane: nothing is
  /// forgotten, and in the end requests with keys are refused.
  private func note(_ append: KeyedAppend, at seconds: Int64, lane: Producer, number: UInt64) async {
    var isNoted = false
    while !isNoted, !Task.isCancelled {
      do throws(LogError) {
        try await journal.note(append, at: seconds)
        isNoted = true
      } catch {
        guard error.code == .noSpace || error.code == .overloaded else { break }
        try? await Task.sleep(for: .seconds(1))
      }
    }
    state.withLock { $0.notes[number] = nil }
    if isNoted { return giveBack(lane) }
    let waiting = state.withLock { state in
      state.hasFailed = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for waiting in waiting { waiting.resume(returning: nil) }
  }

  private func takeLane() async -> Producer? {
    let isFull = state.withLock { $0.free.isEmpty && $0.waiting.count >= Self.mostWaiting }
    if isFull { return nil }
    return await withCheckedContinuation { continuation in
      let (isAnswered, lane): (Bool, Producer?) = state.withLock { state in
        if state.hasFailed { return (true, nil) }
        if let lane = state.free.popLast() { return (true, lane) }
        state.waiting.append(continuation)
        return (false, nil)
      }
      if isAnswered { continuation.resume(returning: lane) }
    }
  }

  private func giveBack(_ lane: Producer) {
    let waiting: CheckedContinuation<Producer?, Never>? = state.withLock { state in
      if state.waiting.isEmpty {
        state.free.append(lane)
        return nil
      }
      return state.waiting.removeFirst()
    }
    waiting?.resume(returning: lane)
  }

  private var seconds: Int64 { clock.now().nanoseconds / 1_000_000_000 }

  /// Waits for what is still to be noted, and closes the journal. Nothing may be appended meanwhile or afterwards.
  package func close() async throws(LogError) {
    for task in state.withLock({ Array($0.notes.values) }) { await task.value }
    try await journal.close()
  }
}
