internal import Logging
internal import Synchronization

extension CursorRegistry {
  /// The durable manifest of a replay; nil when there is none of that id.
  package func replay(_ id: String) async throws(LogError) -> ReplayManifest? {
    try await worker.run { [self] () throws(LogError) in
      try ReplayManifestStore.manifest(environment.fileSystem, paths, logID: logID, id: id)
    }
  }

  /// All readable manifests. A damaged one hides no other; the process's log gets a warning for it.
  func replays() async throws(LogError) -> [ReplayManifest] {
    let all = try await allReplays()
    for case (let id, .failure(let error)) in all {
      environment.logger.warning("a replay cannot be read", metadata: ["replay": "\(id)", "error": "\(error)"])
    }
    return all.compactMap { try? $0.manifest.get() }
  }

  /// All replays by id, each with its durable manifest or the reason why it cannot be read.
  package func allReplays() async throws(LogError) -> [(id: String, manifest: Result<ReplayManifest, LogError>)] {
    try await worker.run { [self] () throws(LogError) in
      var found: [(id: String, manifest: Result<ReplayManifest, LogError>)] = []
      for id in try ReplayManifestStore.ids(environment.fileSystem, paths) {
        do throws(LogError) {
          let manifest = try ReplayManifestStore.manifest(environment.fileSystem, paths, logID: logID, id: id)
          if let manifest { found.append((id, .success(manifest))) }
        } catch {
          found.append((id, .failure(error)))
        }
      }
      return found
    }
  }

  package func createReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await worker.run { [self] () throws(LogError) in
      try ReplayManifestStore.create(environment.fileSystem, paths, logID: logID, manifest)
    }
  }

  package func updateReplay(_ manifest: ReplayManifest) async throws(LogError) {
    try await worker.run { [self] () throws(LogError) in
      try ReplayManifestStore.update(environment.fileSystem, paths, logID: logID, manifest)
    }
  }

  /// Releases a replay's cursor and removes it. With `manifest`, it also removes the replay's manifest, so that the id
  /// is free again. Throws `.cursorHeld` when another process holds the cursor.
  package func removeReplay(_ id: String, manifest: Bool) async throws(LogError) {
    try ReplayManifestStore.validate(id)
    try await worker.run { [self] () throws(LogError) in
      let name = ReplayManifest.cursorName(of: id)
      var taken = held.withLock { $0?.removeValue(forKey: name) }
      if taken == nil {
        do throws(LogError) {
          taken = try take([name]).first?.get()
        } catch {
          guard error.code == .unknownCursor else { throw error }
        }
      }
      // The name is kept until both are gone: else another process could take it in between.
      let removeManifest = { [self] () throws(LogError) in
        if manifest { try ReplayManifestStore.remove(environment.fileSystem, paths, id: id) }
      }
      if let taken { try taken.mover.remove(taken, then: removeManifest) } else { try removeManifest() }
    }
  }
}
