/// How many descriptors a process will have open at once, computed before it opens anything.
///
/// A process that runs out of descriptors halfway cannot be relied on: the event loops of NIO trap when they cannot
/// make their own, and a log that cannot open a segment delivers nothing. So the number is known first.
package struct OpenFileNeed: Hashable, Sendable {
  /// What one destination may have open.
  package struct Destination: Hashable, Sendable {
    /// Batches on their way at once.
    package var maxInFlight: Int
    /// Whether it may open a log of dead letters.
    package var hasDeadLetters: Bool

    package init(maxInFlight: Int, hasDeadLetters: Bool) {
      self.maxInFlight = maxInFlight
      self.hasDeadLetters = hasDeadLetters
    }

    /// Its cursor, its attempts, the segment it reads, and what it looks at for a moment.
    static let always = 4
    /// A connection, and the one to another address that takes its place.
    static let eachInFlight = 2
    /// The lock, the commit point, META, two segments and the one that is made ready.
    static let deadLetterLog = 8

    package var count: Int {
      Self.always + Self.eachInFlight * maxInFlight + (hasDeadLetters ? Self.deadLetterLog : 0)
    }
  }

  /// Event loops: one for each core.
  package var eventLoops: Int
  package var destinations: [Destination]
  /// Whether the log is written here, and two small logs beside it.
  package var isService: Bool

  package init(eventLoops: Int, destinations: [Destination], isService: Bool = false) {
    self.eventLoops = eventLoops
    self.destinations = destinations
    self.isService = isService
  }

  /// Standard streams, signals, the log's own files and the 16 segments it keeps open, looking names up.
  static let base = 48
  /// What epoll, its wake-up and its timer take.
  static let eachLoop = 3
  /// The log's writer, the logs of keys and of changes, and a few clients.
  static let service = 56

  /// All of it.
  package var count: Int {
    Self.base + Self.eachLoop * eventLoops + (isService ? Self.service : 0)
      + destinations.reduce(0) { $0 + $1.count }
  }

  /// What is wrong and what to do; nil where it fits.
  package func complaint(limit: Int?) -> (message: String, advice: String)? {
    guard let limit, limit < count else { return nil }
    let holders = destinations.count == 1 ? "1 destination" : "\(destinations.count) destinations"
    return (
      "\(holders) may have \(count) files and connections open at once, and this process may have \(limit)",
      "raise the limit: `ulimit -Hn \(count)` as root before the start, or LimitNOFILE=\(count) in the systemd unit"
    )
  }
}
