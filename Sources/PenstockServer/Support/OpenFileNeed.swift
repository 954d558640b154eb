/// How many descriptors a process will have open at once, computed before it opens anything.
///
/// A process that runs out of descriptors cannot work reliably. NIO's event loops trap when they cannot create their
/// descriptors, and a log that cannot open a segment delivers nothing. So a program checks the number before it starts.
package struct OpenFileNeed: Hashable, Sendable {
  /// The descriptors of one destination.
  package struct Destination: Hashable, Sendable {
    /// The largest number of batches in flight.
    package var maxInFlight: Int
    /// Whether the destination may open a dead-letter log.
    package var hasDeadLetters: Bool

    package init(maxInFlight: Int, hasDeadLetters: Bool) {
      self.maxInFlight = maxInFlight
      self.hasDeadLetters = hasDeadLetters
    }

    /// The attempt log, the segment that is read, and a short-lived file.
    static let always = 3
    /// A connection, and the one to another address that replaces it.
    static let eachInFlight = 2
    /// The lock, the commit point, META, two segments and the preallocated segment.
    static let deadLetterLog = 8

    package var count: Int {
      Self.always + Self.eachInFlight * maxInFlight + (hasDeadLetters ? Self.deadLetterLog : 0)
    }
  }

  /// The number of event loops: one for each core.
  package var eventLoops: Int
  package var destinations: [Destination]
  /// Whether this process writes the log, together with the logs of idempotency keys and of the audit.
  package var isService: Bool

  package init(eventLoops: Int, destinations: [Destination], isService: Bool = false) {
    self.eventLoops = eventLoops
    self.destinations = destinations
    self.isService = isService
  }

  /// Standard streams, signals, the log's own files, the tables of cursors and their locks, the 16 segments it keeps
  /// open, and name resolution.
  static let base = 51
  /// The descriptors of one event loop: epoll, its wake-up and its timer.
  static let eachLoop = 3
  /// The log's writer, the logs of idempotency keys and of the audit, and a few clients.
  static let service = 56

  /// The sum, in descriptors.
  package var count: Int {
    Self.base + Self.eachLoop * eventLoops + (isService ? Self.service : 0)
      + destinations.reduce(0) { $0 + $1.count }
  }

  /// What is wrong and what an operator can do; nil when `limit` suffices or is unknown.
  package func complaint(limit: Int?) -> (message: String, advice: String)? {
    guard let limit, limit < count else { return nil }
    let holders = destinations.count == 1 ? "1 destination" : "\(destinations.count) destinations"
    return (
      "\(holders) may have \(count) files and connections open at once, and this process may have \(limit)",
      "raise the limit: `ulimit -Hn \(count)` as root before the start, or LimitNOFILE=\(count) in the systemd unit"
    )
  }
}
