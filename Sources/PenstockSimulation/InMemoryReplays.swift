package import PenstockDelivery
package import PenstockLog
package import PenstockTestKit

/// What is durable of replays, in memory: it outlives the processes that run them.
package final class InMemoryReplays: Sendable {
  private struct State: Sendable {
    var manifests: [String: ReplayManifest] = [:]
    var cursors: [String: InMemoryCursor] = [:]
  }

  private let source: InMemorySource
  private let state = AsyncCondition(State())

  package init(of source: InMemorySource) { self.source = source }

  package func manifest(_ id: String) -> ReplayManifest? { state.value.manifests[id] }
  /// The cursor of a replay; nil when it has none, or none any more.
  package func cursor(_ id: String) -> InMemoryCursor? { state.value.cursors[id] }

  /// The log as one process sees it.
  ///
  /// - Parameters:
  ///   - source: What is read; the log itself unless a test puts something between.
  ///   - crash: Kills the process before or after one of its calls.
  package func log(reading source: (any RecordSource)? = nil, crash: CrashSwitch? = nil) -> InMemoryReplayLog {
    InMemoryReplayLog(replays: self, memory: self.source, source: source ?? self.source, crash: crash)
  }

  fileprivate func create(_ manifest: ReplayManifest) throws(LogError) {
    let isNew = state.update { state in
      let isNew = state.manifests[manifest.id] == nil && state.cursors[manifest.id] == nil
      if isNew { state.manifests[manifest.id] = manifest }
      return isNew
    }
    if !isNew { throw LogError(.illegalMove, "there is a replay or a cursor of that name already") }
  }

  fileprivate func update(_ manifest: ReplayManifest) { state.update { $0.manifests[manifest.id] = manifest } }

  fileprivate func acquire(_ manifest: ReplayManifest, crash: CrashSwitch?) -> InMemoryLease {
    let fresh = InMemoryCursor(named: manifest.cursorName, of: source, startingAt: manifest.first)
    let cursor = state.update { state in
      let cursor = state.cursors[manifest.id] ?? fresh
      state.cursors[manifest.id] = cursor
      return cursor
    }
    return cursor.acquire(crash: crash)
  }

  fileprivate func remove(_ id: String, manifest: Bool) {
    state.update { state in
      state.cursors[id] = nil
      if manifest { state.manifests[id] = nil }
    }
  }
}

/// One process's view of a log in memory and its replays.
package struct InMemoryReplayLog: ReplayStore, RecordSource {
  fileprivate let replays: InMemoryReplays
  fileprivate let memory: InMemorySource
  fileprivate let source: any RecordSource
  fileprivate let crash: CrashSwitch?

  package func offset(of place: Position) throws(LogError) -> Offset {
    switch place {
    case .beginning: .zero
    case .end: memory.end
    case .offset(let offset): offset
    case .time(let time): memory.offset(atOrAfter: time)
    // Records in memory have no event times.
    case .eventTime: memory.end
    }
  }

  /// Everything is there and stored as it is.
  package func extent(of range: Range<Offset>) throws(LogError) -> RangeEstimate {
    memory.extent(of: range)
  }

  package func replay(_ id: String) async throws(LogError) -> ReplayManifest? {
    try await crash.live("look up")
    return replays.manifest(id)
  }

  package func createReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await crash.live("before create")
    try replays.create(manifest)
    try await crash.live("after create")
  }

  package func updateReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await crash.live("before update")
    replays.update(manifest)
    try await crash.live("after update")
  }

  package func replayLease(_ manifest: ReplayManifest) async throws(LogError) -> any ReplayLease {
    try await crash.live("before acquire")
    let lease = replays.acquire(manifest, crash: crash)
    try await crash.live("after acquire")
    return lease
  }

  package func removeReplay(_ id: String, manifest: Bool) async throws(LogError) {
    try await crash.live("before remove")
    replays.remove(id, manifest: manifest)
    try await crash.live("after remove")
  }

  package var logID: String { source.logID }
  package var durableEnd: Offset { get async { await source.durableEnd } }
  package func records(from first: Offset, maxRecords: Int, maxBytes: Int) async throws(LogError) -> Batch? {
    try await source.records(from: first, maxRecords: maxRecords, maxBytes: maxBytes)
  }
  package func records(in range: Range<Offset>) async throws(LogError) -> Batch {
    try await source.records(in: range)
  }
  package func waitForRecords(past offset: Offset, timeout: Duration?) async -> Bool {
    await source.waitForRecords(past: offset, timeout: timeout)
  }
}

extension InMemorySource {
  fileprivate func offset(atOrAfter time: Timestamp) -> Offset {
    var found = end
    forEachRecord { if $0.appendTime >= time { found = min(found, $0.offset) } }
    return found
  }

  fileprivate func extent(of range: Range<Offset>) -> RangeEstimate {
    var extent = RangeEstimate(range: range)
    forEachRecord { record in
      guard range.contains(record.offset) else { return }
      extent.records += 1
      extent.storedBytes += record.bytes.count
      extent.recordBytes += record.bytes.count
      extent.firstAppendTime = extent.firstAppendTime ?? record.appendTime
    }
    return extent
  }
}
