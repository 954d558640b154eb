import PenstockDelivery

/// How many descriptors a process will have open at once, computed before it opens anything.
///
/// A process that runs out of descriptors cannot work reliably. NIO's event loops trap when they cannot create their
/// descriptors, and a log that cannot open a segment delivers nothing. So a program checks the number before it starts.
///
/// An idle destination holds no descriptor. Busy ones share two bounded stocks: connections (`ConnectionBudget`) and
/// open logs of dead letters (`DeadLetterLog`). Where a stock is used up, a destination waits.
package struct OpenFileNeed: Hashable, Sendable {
  /// What one destination may take from the stocks.
  package struct Destination: Hashable, Sendable {
    /// The largest number of batches in flight.
    package var maxInFlight: Int
    /// Whether the destination may open a dead-letter log.
    package var hasDeadLetters: Bool

    package init(maxInFlight: Int, hasDeadLetters: Bool) {
      self.maxInFlight = maxInFlight
      self.hasDeadLetters = hasDeadLetters
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
  /// Epoll of one event loop, its wake-up and its timer, and what the threads of its core open for one read or write:
  /// segments, attempts, pauses.
  static let eachLoop = 7
  /// The log's writer, the logs of idempotency keys and of the audit, and a few clients.
  static let service = 56
  /// Connections for each batch in flight: one, and the one to another address that replaces it.
  static let eachInFlight = 2
  /// Without so many connections, or all that they want, many destinations would be too slow.
  static let leastConnections = 256
  /// The lock, the commit point, META, two segments and the preallocated segment.
  static let deadLetterLog = 8

  private var wantedConnections: Int { destinations.reduce(0) { $0 + Self.eachInFlight * $1.maxInFlight } }
  private var needed: Int {
    let letters = min(destinations.count { $0.hasDeadLetters }, DeadLetterLog.mostOpen)
    return Self.base + Self.eachLoop * eventLoops + (isService ? Self.service : 0)
      + Self.deadLetterLog * letters
  }

  /// The least with which these destinations can work, in descriptors.
  package var count: Int { needed + min(wantedConnections, Self.leastConnections) }

  /// How many connections all destinations together may have, where `limit` descriptors are for them and the process.
  package func connections(of limit: Int?) -> Int {
    limit.map { max(min(wantedConnections, Self.leastConnections), $0 - needed, 1) } ?? .max
  }

  /// What is wrong and what an operator can do; nil when `limit` suffices or is unknown.
  package func complaint(limit: Int?) -> (message: String, advice: String)? {
    guard let limit, limit < count else { return nil }
    let holders = destinations.count == 1 ? "1 destination needs" : "\(destinations.count) destinations need"
    return (
      "\(holders) \(count) files and connections open at once, and this process may have \(limit)",
      "raise the limit: `ulimit -Hn \(count)` as root before the start, or LimitNOFILE=\(count) in the systemd unit"
    )
  }
}
