import Synchronization

/// Counts since the service started.
package struct IngestCounts: Sendable, Hashable {
  package var requests = 0
  package var events = 0
  package var bytes = 0
  /// Requests that repeated an earlier one.
  package var duplicates = 0
  /// Invalid records that were left out of an accepted body.
  package var refusedRecords = 0
  /// Requests rejected because of their content or headers: 4xx except 429.
  package var refused = 0
  /// Requests answered 429: the client should send them again.
  package var pushedBack = 0
  /// Requests answered 5xx.
  package var failed = 0
}

/// Thread-safe ``IngestCounts``.
package final class IngestCounters: Sendable {
  private let state = Mutex(IngestCounts())

  package init() {}
  package var counts: IngestCounts { state.withLock { $0 } }

  func note(accepted records: Int, bytes: Int, refused: Int, isDuplicate: Bool) {
    state.withLock { counts in
      counts.requests += 1
      if isDuplicate {
        counts.duplicates += 1
      } else {
        counts.events += records
        counts.bytes += bytes
        counts.refusedRecords += refused
      }
    }
  }

  func note(_ answer: Answer) {
    state.withLock { counts in
      counts.requests += 1
      switch answer.status {
      case 429: counts.pushedBack += 1
      case 500...: counts.failed += 1
      default: counts.refused += 1
      }
    }
  }
}
