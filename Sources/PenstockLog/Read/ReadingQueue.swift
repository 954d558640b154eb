/// How long a reading may keep a reader thread.
package enum ReadingLength: Hashable, Sendable, CaseIterable {
  /// In turns of about one block, one index or a few small files.
  case short
  /// As long as it takes: a search of many indexes.
  case long
}

/// Which reading a reader thread does next, and how many threads there are. A pure value; ``ReaderPool`` runs it.
///
/// A reading is *waiting*, then *running*. After a turn it is done, or it waits again, as the last. So one reader of
/// the whole log delays another by one turn. A waiting reading may leave. Long readings have no turns: they use at
/// most half of the threads, so that short ones never wait for them alone.
///
/// A thread is started when a reading finds none free. It then stays, until the queue is closed and holds nothing that
/// the thread may do. A reading that joins after that starts a thread again, which ends with the work.
///
/// Invariants
/// 1. At most `limit` threads; of them at most half, and at least one, do long readings.
/// 2. Readings of one length run in the order in which they began to wait.
/// 3. A reading that may run waits only while every thread is busy, or while a free thread has not looked yet.
/// 4. Every reading is done or leaves, once.
/// 5. When the queue is closed and all work is done, no thread is left.
struct ReadingQueue<Reading> {
  /// Names a reading; none is used twice.
  struct Ticket: Hashable, Sendable { fileprivate let number: UInt64 }
  struct Entry {
    let ticket: Ticket
    let length: ReadingLength
    let reading: Reading
  }
  /// The next step of a free thread.
  enum Step {
    case run(Entry)
    /// Wait until a reading joins, or the queue is closed.
    case sleep
    /// The thread is no longer counted, and must end.
    case exit
  }

  private(set) var waiting: [Entry] = []
  private(set) var running = 0
  private(set) var runningLong = 0
  /// Busy and free ones.
  private(set) var threads = 0
  private(set) var isClosed = false
  private var tickets: UInt64 = 0
  let limit: Int

  init(limit: Int) { self.limit = max(1, limit) }

  private var longLimit: Int { max(1, limit / 2) }
  private var free: Int { threads - running }

  mutating func ticket() -> Ticket {
    tickets += 1
    return Ticket(number: tickets)
  }

  /// Waits at the end. Returns whether the caller must start a thread, which is counted from now on.
  mutating func join(_ ticket: Ticket, _ length: ReadingLength, _ reading: Reading) -> Bool {
    waiting.append(Entry(ticket: ticket, length: length, reading: reading))
    guard waiting.count > free, threads < limit else { return false }
    threads += 1
    return true
  }

  /// Stops waiting; nil when the reading is running, or done.
  mutating func leave(_ ticket: Ticket) -> Reading? {
    guard let place = waiting.firstIndex(where: { $0.ticket == ticket }) else { return nil }
    return waiting.remove(at: place).reading
  }

  /// For a free thread.
  mutating func take() -> Step {
    guard let place = next else {
      guard isClosed else { return .sleep }
      threads -= 1
      return .exit
    }
    let entry = waiting.remove(at: place)
    running += 1
    if entry.length == .long { runningLong += 1 }
    return .run(entry)
  }

  /// The place of the first reading that may run.
  private var next: Int? { waiting.firstIndex { $0.length == .short || runningLong < longLimit } }

  /// The turn of a running reading is over, and there is more to do. Returns whether the next turn begins at
  /// once; otherwise the reading waits again, and its thread is free.
  mutating func endTurn(_ entry: Entry) -> Bool {
    guard next != nil else { return true }
    finish(entry)
    waiting.append(entry)
    return false
  }

  /// A running reading is done; its thread is free.
  mutating func finish(_ entry: Entry) {
    running -= 1
    if entry.length == .long { runningLong -= 1 }
  }

  /// From now on threads end when they find nothing to do. Everything that waits is still read.
  mutating func close() { isClosed = true }
}
