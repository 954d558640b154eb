internal import Synchronization

/// The cursors that this process holds in one log.
package final class CursorRegistry: Sendable {
  let environment: LogEnvironment
  let paths: LogPaths
  let logID: [UInt8]
  let view: LogView
  let worker: Worker
  /// Nil once closed.
  let held = Mutex<[String: HeldCursor]?>([:])
  private struct Moving {
    /// Moves all of them; nil until the first is taken.
    var mover: CursorMover?
    var isClosed = false
  }
  private let moving = Mutex(Moving())
  typealias Acquired = Result<(HeldCursor, epoch: UInt32), LogError>
  /// A caller that waits for a cursor.
  struct Request: Sendable {
    let name: String
    let start: Offset
    let done: @Sendable (Acquired) -> Void
  }
  let requests = Mutex<[Request]>([])

  init(_ environment: LogEnvironment, _ paths: LogPaths, logID: [UInt8], view: LogView, worker: Worker) {
    self.environment = environment
    self.paths = paths
    self.logID = logID
    self.view = view
    self.worker = worker
  }

  /// Takes a cursor: raises its epoch durably, so that an earlier holder is refused from now on. Returns it with its
  /// epoch.
  func acquire(
    _ name: String, startingAt start: Offset, isReplay: Bool
  ) async throws(LogError) -> (HeldCursor, epoch: UInt32) {
    try ReplayManifestStore.checkName(name, isReplay: isReplay)
    try CursorStore.validate(name)
    let outcome = await withCheckedContinuation { (waiter: CheckedContinuation<Acquired, Never>) in
      let request = Request(name: name, start: start) { waiter.resume(returning: $0) }
      let isFirst = requests.withLock { requests in
        requests.append(request)
        return requests.count == 1
      }
      if isFirst { worker.start { [self] in acquireRequested() } }
    }
    return try outcome.get()
  }

  /// Takes all cursors that are wanted now, with a few syncs. Only on the worker's thread, so nothing else takes one of
  /// these names in between.
  private func acquireRequested() {
    let requested = requests.withLock { requests in
      defer { requests = [] }
      return requests
    }
    let wanted = requested.filter { request in
      do throws(LogError) { try check(request) } catch {
        request.done(.failure(error))
        return false
      }
      return true
    }
    let cursors = hold(wanted)
    var movers: [ObjectIdentifier: CursorMover] = [:]
    for request in wanted {
      switch cursors[request.name] {
      case .success(let cursor)?:
        movers[ObjectIdentifier(cursor.mover)] = cursor.mover
        _ = cursor.mover.enqueue(
          cursor, { (state) throws(CursorMoveError) in state.acquired() }, afterPreparing: { _ in },
          then: { outcome in request.done(outcome.map { (cursor, $0.epoch) }) })
      case .failure(let error)?: request.done(.failure(error))
      case nil: preconditionFailure("one result for each name")
      }
    }
    for (_, mover) in movers { mover.writeQueued() }
  }

  private func check(_ request: Request) throws(LogError) {
    guard held.withLock({ $0 != nil }) else { throw LogError(.closed, "the log is closed") }
    // A cursor past the end would be evidence of records that never existed.
    guard request.start <= view.end else {
      throw LogError(
        .outOfRange, "cursor \(request.name) cannot begin at offset \(request.start); the log ends at \(view.end)",
        location: .init(offset: request.start))
    }
    try view.makeDurable(upTo: request.start, environment.fileSystem)
  }

  /// The cursors of these requests by name, made where there are none. The first request of a name says where it
  /// begins.
  private func hold(_ wanted: [Request]) -> [String: Result<HeldCursor, LogError>] {
    var found: [String: Result<HeldCursor, LogError>] = [:]
    var new: [(name: String, start: Offset)] = []
    var names: Set<String> = []
    held.withLock { held in
      for request in wanted where names.insert(request.name).inserted {
        if let cursor = held?[request.name] {
          found[request.name] = .success(cursor)
        } else {
          new.append((request.name, request.start))
        }
      }
    }
    guard !new.isEmpty else { return found }
    do throws(LogError) {
      for ((name, _), result) in zip(new, CursorStore.hold(try openMover(), paths, logID: logID, new)) {
        found[name] = result
        guard case .success(let cursor) = result else { continue }
        let isOpen = held.withLock { held in
          held?[name] = cursor
          return held != nil
        }
        if !isOpen { cursor.close() }
      }
    } catch {
      for (name, _) in new { found[name] = .failure(error) }
    }
    return found
  }

  /// Opens the tables for the first cursor that this process takes.
  private func openMover() throws(LogError) -> CursorMover {
    try moving.withLock { moving throws(LogError) in
      guard !moving.isClosed else { throw LogError(.closed, "the log is closed") }
      if let mover = moving.mover { return mover }
      let mover = CursorMover(try Slots(environment.fileSystem, paths), isShared: true)
      moving.mover = mover
      return mover
    }
  }

  /// Takes existing cursors that this process does not hold: two syncs for all. Returns each, or why it was refused.
  func take(_ names: [String]) -> [Result<HeldCursor, LogError>] {
    do throws(LogError) { return CursorStore.take(try openMover(), paths, logID: logID, names) } catch {
      return names.map { _ in .failure(error) }
    }
  }

  /// The held cursors by name.
  var holders: [String: HeldCursor] { held.withLock { $0 ?? [:] } }

  /// Releases all cursors; remaining handles cannot move them.
  func close() {
    let held = held.withLock { held in
      defer { held = nil }
      return held
    }
    for (_, cursor) in (held ?? [:]).sorted(by: { $0.key < $1.key }) { cursor.close() }
    let mover = moving.withLock { moving in
      moving.isClosed = true
      return moving.mover
    }
    mover?.slots.close()
  }
}

extension CursorRegistry {
  func setPause(_ pause: CursorPause?, ofCursor name: String) async throws(LogError) {
    try await worker.run { [self] () throws(LogError) in
      try CursorStore.setPause(pause, environment.fileSystem, paths, name: name)
    }
  }
}
