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
    return try await worker.run { [self] () throws(LogError) in
      guard let known = held.withLock({ $0 }) else { throw LogError(.closed, "the log is closed") }
      // A cursor past the end would be evidence of records that never existed.
      guard start <= view.end else {
        throw LogError(
          .outOfRange, "cursor \(name) cannot begin at offset \(start); the log ends at \(view.end)",
          location: .init(offset: start))
      }
      try view.makeDurable(upTo: start, environment.fileSystem)
      let cursor: HeldCursor
      if let known = known[name] {
        cursor = known
      } else {
        // Only the worker's thread takes cursors, so no other call takes the same name in between.
        cursor = try CursorStore.hold(try openMover(), paths, logID: logID, name: name, startingAt: start)
        let isOpen = held.withLock { held in
          held?[name] = cursor
          return held != nil
        }
        if !isOpen { cursor.close() }
      }
      let state = try cursor.move { (state) throws(CursorMoveError) in state.acquired() }
      return (cursor, state.epoch)
    }
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

  /// Takes an existing cursor that this process does not hold. Throws `.unknownCursor`.
  func take(_ name: String) throws(LogError) -> HeldCursor {
    try CursorStore.take(try openMover(), paths, logID: logID, name: name)
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
