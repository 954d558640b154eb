import Synchronization

/// What ingest has done since the start.
package struct IngestCounts: Sendable, Hashable {
  package var requests = 0
  package var events = 0
  package var bytes = 0
  /// Requests that had been done before.
  package var duplicates = 0
  /// Records left out, in answers that accepted others.
  package var refusedRecords = 0
  /// Requests refused, by what is wrong with them: 400, 403, 409, 413, 415.
  package var refused = 0
  /// Requests asked to come again.
  package var pushedBack = 0
  /// Requests that found the service unable.
  package var failed = 0
}

/// ``IngestCounts`` for any number of tasks.
package final class IngestCounters: Sendable {
  private let state = Mutex(IngestCounts())

  package init() {}
  package var tally: IngestCounts { state.withLock { $0 } }

  func note(accepted records: Int, bytes: Int, refused: Int, isDuplicate: Bool) {
    state.withLock { tally in
      tally.requests += 1
      if isDuplicate {
        tally.duplicates += 1
      } else {
        tally.events += records
        tally.bytes += bytes
        tally.refusedRecords += refused
      }
    }
  }

  func note(_ answer: Answer) {
    state.withLock { tally in
      tally.requests += 1
      switch answer.status {
      case 429: tally.pushedBack += 1
      case 500...: tally.failed += 1
      default: tally.refused += 1
      }
    }
  }
}
