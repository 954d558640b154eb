/// Syncing the commit point in quiet times.
extension Committer {
  /// Syncs the commit point when no commit comes for a while. There is one such task at a time, however many commits
  /// there are.
  func planCommitPointSync(_ sync: @escaping @Sendable () -> Void, on worker: Worker) {
    guard let delay = commitPointSyncDelay else { return }
    let seen: UInt64? = monitor.withLock { state in
      state.commits += 1
      guard !state.isCommitPointSyncPlanned else { return nil }
      state.isCommitPointSyncPlanned = true
      return state.commits
    }
    if let seen { syncCommitPoint(sync, on: worker, ifQuietSince: seen, delay) }
  }

  private func syncCommitPoint(
    _ sync: @escaping @Sendable () -> Void, on worker: Worker, ifQuietSince seen: UInt64, _ delay: Duration
  ) {
    let sleep = sleep
    Task { [weak self] in
      await sleep(delay)
      // A closed log has stored its end in META.
      guard let self else { return }
      let commits: UInt64? = monitor.withLock { state in
        guard state.commits != seen, !state.isFinished else {
          state.isCommitPointSyncPlanned = false
          return nil
        }
        return state.commits
      }
      if let commits {
        syncCommitPoint(sync, on: worker, ifQuietSince: commits, delay)
      } else {
        worker.start(sync)
      }
    }
  }
}
