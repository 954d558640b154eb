package import PenstockLog

/// The idempotency keys on stable storage: a log of its own beside the service's, an entry for each key.
package final class IdempotencyJournal: Sendable {
  private let log: Log
  /// What of it is lost, for people; nil where nothing is.
  package let damage: String?

  /// Opens it and hands on what is in it, oldest first. Entries that are lost to damage are left out.
  ///
  /// Where it throws, nothing of it stays open, and entries may have been handed on.
  ///
  /// - Parameters:
  ///   - window: how long an entry is kept, in seconds; longer where a segment is not over.
  ///   - count: how many of the newest entries are kept and handed on, at least.
  /// - Throws: what is no damage; see ``SideLog``.
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
    var words: [String] = []
    if let aside { words.append("\(path) was damaged and is now \(aside)") }
    if lost > 0 { words.append("\(lost) entries of \(path) are lost to damage") }
    if !words.isEmpty {
      words.append("requests that are sent again under an idempotency key of those are appended again")
    }
    return IdempotencyJournal(log, damage: words.isEmpty ? nil : words.joined(separator: "; "))
  }

  /// - Returns: how many entries are lost.
  /// - Throws: what says nothing about the entries: they may all be there, and the next try may read them.
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
    // A single request at a time takes a page of 4 KiB for its key, and its part of a segment's header and index; nothing may be let
    // go while it counts.
    let needed: Int = capacity * (4096 + 256) + 2 * (4 << 20)
    configuration.retention.maxBytes = max(256 << 20, needed)
    return configuration
  }

  private init(_ log: Log, damage: String?) {
    self.log = log
    self.damage = damage
  }

  /// Durable when it returns.
  package func note(_ append: KeyedAppend, at seconds: Int64) async throws(LogError) {
    try await log.append(contentsOf: CollectionOfOne(append.journalEntry(at: seconds)))
  }

  package func close() async throws(LogError) { try await log.close() }
}
