package import PenstockLog

/// The idempotency keys on stable storage: a log of its own beside the service's, an entry for each key.
package final class KeyJournal: Sendable {
  private let log: Log

  /// Opens it and hands on what is in it, oldest first.
  ///
  /// - Parameter window: how long an entry is kept, in seconds; longer where a segment is not over.
  package static func open(
    at path: String, window: Int64, newest capacity: Int, environment: LogEnvironment = .system,
    _ entry: (KeyedAppend, _ seconds: Int64) -> Void
  ) async throws -> KeyJournal {
    let configuration = configuration(window: window, capacity: capacity)
    let log = try await Log.open(at: path, configuration: configuration, environment: environment)
    let start = log.end - log.first > capacity ? Offset(log.end.rawValue - UInt64(capacity)) : log.first
    for try await record in log.records(from: .offset(start)) {
      if let (append, seconds) = KeyedAppend.read(journalEntry: Array(record.bytes)) { entry(append, seconds) }
    }
    return KeyJournal(log)
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

  private init(_ log: Log) { self.log = log }

  /// Durable when it returns.
  package func note(_ append: KeyedAppend, at seconds: Int64) async throws(LogError) {
    try await log.append(contentsOf: CollectionOfOne(append.journalEntry(at: seconds)))
  }

  package func close() async throws(LogError) { try await log.close() }
}
