/// Group commit, decided: what is taken in, what goes into the next block, who is told. A pure value; `Log` performs what it
/// returns, under one lock for the decision and outside it for the acting.
///
/// While one group is being written and synced, the next gathers: the disk's own pace makes the groups, no timer does.
///
/// States: *open* → (*draining* by ``close()``) → *done*; from any, *failed* by ``fail(_:)``, for ever. While the disk is full
/// and appends wait for room there, it is also *parked*, from ``park(_:)`` to ``unpark()``.
///
/// Invariants
/// 1. Offsets are given out in the order of acceptance, without a hole.
/// 2. `queuedBytes` is the sum over `queued`; it passes the limit only for a single batch alone, and by a parked group.
/// 3. Every ticket taken in is answered exactly once: by `completed` or by `failed`.
/// 4. Nobody waits for room while there is room for the first in line.
package struct AppendQueue<Ticket> {
  package struct Pending {
    package let ticket: Ticket
    package let batch: RecordBatch
    package let durability: Durability
    package fileprivate(set) var first: Offset
    package var offsets: Range<Offset> { first..<(first + batch.count) }
  }

  package enum Offer {
    /// In the queue, with these offsets.
    case accepted(Range<Offset>)
    /// No room: wait and offer again.
    case full
    case refused(LogError)
  }

  private let blockBytes: Int
  private let queueBytes: Int
  private var queued: [Pending] = []
  package private(set) var queuedBytes = 0
  private var nextOffset: Offset
  private var isCommitting = false
  package private(set) var isClosing = false
  /// The disk is full, and what is queued waits for room there.
  package private(set) var isParked = false
  private var failure: LogError?

  package init(nextOffset: Offset, blockBytes: Int, queueBytes: Int) {
    self.nextOffset = nextOffset
    self.blockBytes = blockBytes
    self.queueBytes = queueBytes
  }

  package var isIdle: Bool { queued.isEmpty && !isCommitting }

  /// Whether an offer of this batch would not be answered with `full`.
  package func hasRoom(for batch: RecordBatch) -> Bool {
    queued.isEmpty || queuedBytes + batch.payload.count <= queueBytes
  }

  /// Takes a batch in, or says why not.
  package mutating func offer(_ batch: RecordBatch, durability: Durability, ticket: Ticket) -> Offer {
    if let failure { return .refused(failure) }
    if isClosing { return .refused(LogError(.closed, "the log is closed")) }
    guard hasRoom(for: batch) else { return .full }
    let pending = Pending(ticket: ticket, batch: batch, durability: durability, first: nextOffset)
    queued.append(pending)
    queuedBytes += batch.payload.count
    nextOffset = nextOffset + batch.count
    return .accepted(pending.offsets)
  }

  package enum Next {
    /// Write these as one block, then call ``completed()``.
    case commit([Pending])
    /// Nothing to do yet.
    case wait
    /// What is queued must wait for room on the disk.
    case parked
    /// Nothing will come any more.
    case finish
  }

  /// What the committer does next: as many batches as fill a block, at least one.
  package mutating func next() -> Next {
    precondition(!isCommitting, "one group at a time")
    guard !queued.isEmpty else { return isClosing || failure != nil ? .finish : .wait }
    // Who closes is not kept waiting: one last try.
    if isParked, !isClosing { return .parked }
    var bytes = 0
    var count = 0
    while count < queued.count, count == 0 || bytes + queued[count].batch.payload.count <= blockBytes {
      bytes += queued[count].batch.payload.count
      count += 1
    }
    let group = Array(queued[..<count])
    queued.removeFirst(count)
    queuedBytes -= bytes
    isCommitting = true
    return .commit(group)
  }

  /// The group is committed.
  package mutating func completed() {
    precondition(isCommitting)
    isCommitting = false
  }

  /// The group found no room on the disk, and so will those behind it: returns them, to be told. What comes later is taken
  /// in again, with offsets from `end` on.
  package mutating func ranOutOfSpace(end: Offset) -> [Pending] {
    precondition(isCommitting)
    isCommitting = false
    isParked = false
    defer {
      queued = []
      queuedBytes = 0
      nextOffset = end
    }
    return queued
  }

  /// The group found no room on the disk: back to the front of the line, until ``unpark()``. False when the queue is
  /// closing; then nobody waits any longer, and ``ranOutOfSpace(end:)`` is next.
  package mutating func park(_ group: [Pending]) -> Bool {
    precondition(isCommitting)
    guard !isClosing else { return false }
    isCommitting = false
    isParked = true
    queued = group + queued
    queuedBytes += group.reduce(0) { $0 + $1.batch.payload.count }
    return true
  }

  /// There may be room on the disk again.
  package mutating func unpark() { isParked = false }

  /// Takes back batches that wait for room on the disk; those behind move up, for nothing has been written and nobody been
  /// told an offset but as a forecast. Nothing is taken back unless parked.
  package mutating func withdraw(_ isWithdrawn: (Ticket) -> Bool) -> [Pending] {
    guard isParked, var offset = queued.first?.first else { return [] }
    let withdrawn = queued.filter { isWithdrawn($0.ticket) }
    guard !withdrawn.isEmpty else { return [] }
    queued.removeAll { isWithdrawn($0.ticket) }
    for index in queued.indices {
      queued[index].first = offset
      offset = queued[index].offsets.upperBound
    }
    nextOffset = offset
    queuedBytes -= withdrawn.reduce(0) { $0 + $1.batch.payload.count }
    if queued.isEmpty { isParked = false }
    return withdrawn
  }

  /// Nothing can be written any more: returns those behind the group, to be told.
  package mutating func fail(_ error: LogError) -> [Pending] {
    isCommitting = false
    failure = error
    defer {
      queued = []
      queuedBytes = 0
    }
    return queued
  }

  /// Takes nothing more in; what is queued is still written.
  package mutating func close() { isClosing = true }
}
