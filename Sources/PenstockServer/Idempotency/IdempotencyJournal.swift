package import PenstockLog

/// The idempotency keys on stable storage: a separate log with one entry for each key.
package final class IdempotencyJournal: Sendable {
  private let log: Log
  /// What damage has destroyed, as text for an operator; nil when nothing is lost.
  package let damage: String?

  /// Opens the journal and passes its entries to the closure, oldest first. Entries that damage has destroyed are
  /// skipped.
  ///
  /// When it throws, the journal is closed again. The closure may already have received entries.
  ///
  /// - Parameters:
  ///   - window: how long an entry is kept, in seconds; longer while its segment is still being written.
  ///   - count: how many of the newest entries are kept and passed on, at least.
  /// - Throws: any error that is not damage; see ``SideLog``.
  package static func open(
    at path: String, window: Int64, newest count: Int, environment: LogEnvironment = .system,
    _ entry: (KeyedAppend, _ seconds: Int64) -> Void
  ) async throws(LogError) -> IdempotencyJournal {
    let configuration = configuration(window: window, capacity: count)
    let (log, aside) = try await SideLog.open(at: path, configuration: configuration, environment: environment)
    let start = log.end - log.first > count ? Offset(log.end.rawValue - UInt64(count)) : log.first
    let lost: Int
    do throws(LogError) {
      lost = try await read(log, from: start, entry)
    } catch {
      try? await log.close()
      throw error
    }
    var losses: [String] = []
    if let aside { losses.append("\(path) was damaged; it was moved to \(aside)") }
    if lost > 0 { losses.append("\(lost) entries of \(path) are lost to damage") }
    if !losses.isEmpty {
      losses.append("requests that are sent again with a lost idempotency key are appended again")
    }
    return IdempotencyJournal(log, damage: losses.isEmpty ? nil : losses.joined(separator: "; "))
  }

  /// - Returns: how many entries are lost.
  /// - Throws: an error that is not a loss: the entries may be intact, and a later attempt may read them.
  private static func read(
    _ log: Log, from start: Offset, _ entry: (KeyedAppend, _ seconds: Int64) -> Void
  ) async throws(LogError) -> Int {
    var (next, lost) = (start, 0)
    while next < log.end {
      do throws(LogError) {
        for try await record in log.records(from: .offset(next)) {
          next = record.offset + 1
          if let (append, seconds) = KeyedAppend.read(journalEntry: Array(record.bytes)) { entry(append, seconds) }
        }
        return lost
      } catch {
        guard let gap = error.gap else { throw error }
        let end = max(gap.end, next + 1)
        lost += min(end, log.end) - next
        next = end
      }
    }
    return lost
  }

  package static func configuration(window: Int64, capacity: Int) -> LogConfiguration {
    var configuration = LogConfiguration()
    configuration.segmentBytes = 4 << 20
    configuration.blockBytes = 64 << 10
    configuration.queueBytes = 1 << 20
    configuration.encoders = 0
    configuration.sealing = .off
    configuration.retention.maxAge = .seconds(max(60, window))
    // Each key may need a block of 4 KiB, plus its part of a segment's header and index. Retention must keep every key
    // that still counts.
    let needed: Int = capacity * (4096 + 256) + 2 * (4 << 20)
    configuration.retention.maxBytes = max(256 << 20, needed)
    return configuration
  }

  private init(_ log: Log, damage: String?) {
    self.log = log
    self.damage = damage
  }

  /// Appends an entry; it is durable when this returns.
  package func note(_ append: KeyedAppend, at seconds: Int64) async throws(LogError) {
    try await log.append(contentsOf: CollectionOfOne(append.journalEntry(at: seconds)))
  }

  package func close() async throws(LogError) { try await log.close() }
}
