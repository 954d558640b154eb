/// Syncing the beacon in quiet times.
extension Committer {
  /// Has the beacon synced when no commit comes for a while. One task at a time, however many commits there are.
  func planBeaconSync(_ sync: @escaping @Sendable () -> Void, on worker: Worker) {
    guard let delay = beaconSyncDelay else { return }
    let seen: UInt64? = monitor.withLock { state in
      state.commits += 1
      guard !state.isBeaconSyncPlanned else { return nil }
      state.isBeaconSyncPlanned = true
      return state.commits
    }
    if let seen { syncBeacon(sync, on: worker, ifQuietSince: seen, delay) }
  }

  private func syncBeacon(
    _ sync: @escaping @Sendable () -> Void, on worker: Worker, ifQuietSince seen: UInt64, _ delay: Duration
  ) {
    let sleep = sleep
    Task { [weak self] in
      await sleep(delay)
      // A log that is closed has noted its end in META.
      guard let self else { return }
      let commits: UInt64? = monitor.withLock { state in
        guard state.commits != seen, !state.isFinished else {
          state.isBeaconSyncPlanned = false
          return nil
        }
        return state.commits
      }
      if let commits {
        syncBeacon(sync, on: worker, ifQuietSince: commits, delay)
      } else {
        worker.start(sync)
      }
    }
  }
}
