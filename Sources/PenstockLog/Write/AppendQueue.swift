/// The decisions of group commit: what is accepted, what goes into the next block, which thread compresses it, what is
/// written before one sync, which callers are answered. A pure value. `Committer` performs what it returns: it decides
/// under one lock and acts outside of it.
///
/// While some groups are written and synced, the next accumulate: the disk's own pace makes the groups, not a timer. A
/// group is *queued* → *with an encoder* → *compressed* → *committing* → answered. A small group that finds nothing
/// else in progress goes straight to the committer, which compresses it itself.
///
/// An encoder takes only a whole block, so that eager encoders do not cut the queue into small blocks. Less than a
/// block accumulates until the committer has nothing else to do.
///
/// There is one exception, for many callers that each wait for their own append. The callers being committed and those
/// answered last are all there are. When half of them have returned, an encoder compresses their appends during the
/// sync. So the callers form two halves that alternate, and are not split further.
///
/// States: *open* → (*draining* by ``close()``) → *done*; from any, *failed* by ``fail(_:)``, permanently. While the
/// disk is full and appends wait for space, it is also *parked*, from ``park()`` to ``unpark()``. Then it is *trying*,
/// without encoders, until a group is written.
///
/// Invariants
/// 1. Offsets are assigned in the order of acceptance, without a hole.
/// 2. Committing, compressed, encoding and queued appends, in this order, have consecutive offsets. Whichever encoder
///    is faster, groups reach the committer in the order in which they were taken.
/// 3. `waitingBytes` is the sum over everything that the committer does not have. It passes the limit only for a single
///    batch alone, and by parked groups.
/// 4. At most `slots` groups are with encoders, compressed, or committing after an encoder compressed them.
/// 5. Every accepted ticket is answered exactly once: by `completed` or by `failed`.
struct AppendQueue<Ticket, Block> {
  struct Pending {
    let ticket: Ticket
    let batch: RecordBatch
    let durability: Durability
    fileprivate(set) var first: Offset
    var offsets: Range<Offset> { first..<(first + batch.count) }
  }

  /// The appends that become one block.
  struct Group {
    /// No number is used twice.
    let number: Int
    let appends: [Pending]
    let bytes: Int
    /// The encoder's result; nil while it works, and for a group that the committer compresses.
    fileprivate(set) var block: Result<Block, LogError>?
    var first: Offset { appends[0].first }
    var batches: [RecordBatch] { appends.map { $0.batch } }
    var end: Offset { appends[appends.count - 1].offsets.upperBound }
  }

  enum Offer {
    /// In the queue, with these offsets.
    case accepted(Range<Offset>)
    /// No space: wait and offer again.
    case full
    case refused(LogError)
  }

  private let blockBytes: Int
  private let queueBytes: Int
  private let slots: Int
  /// The fewest appends that count as many callers.
  private let manyCallers: Int
  /// Appends of the newest completed group.
  private var lastCompleted = 0
  private var queued: [Pending] = []
  private var queuedBytes = 0
  /// With encoders or compressed, in order.
  private var pipeline: [Group] = []
  private var pipelineBytes = 0
  private var committing: [Group] = []
  /// Groups that an encoder still compresses, but that are no longer needed.
  private var abandoned = 0
  private var taken = 0
  private var nextOffset: Offset
  /// One past the last record whose group is completed.
  private(set) var writtenEnd: Offset
  private(set) var isClosing = false
  /// The disk is full, and queued appends wait for space.
  private(set) var isParked = false
  private var isTrying = false
  private var failure: LogError?

  /// - Parameter slots: How many groups may be compressed ahead of time; 0 leaves all compressing to the committer.
  /// - Parameter manyCallers: From how many appends on an encoder takes half of the callers' appends.
  init(nextOffset: Offset, blockBytes: Int, queueBytes: Int, slots: Int = 0, manyCallers: Int = 16) {
    self.manyCallers = manyCallers
    self.nextOffset = nextOffset
    writtenEnd = nextOffset
    self.blockBytes = blockBytes
    self.queueBytes = queueBytes
    self.slots = slots
  }

  var isIdle: Bool { queued.isEmpty && pipeline.isEmpty && committing.isEmpty }
  /// One past the last record accepted.
  var acceptedEnd: Offset { nextOffset }
  var waitingBytes: Int { queuedBytes + pipelineBytes }
  /// The queue accepts nothing more.
  var isEnding: Bool { isClosing || failure != nil }

  /// Whether the queue has space for an offer of so many bytes, besides its own and `reserved` bytes.
  func hasSpace(for bytes: Int, besides reserved: Int = 0) -> Bool {
    waitingBytes + reserved == 0 || waitingBytes + reserved + bytes <= queueBytes
  }

  /// Accepts a batch, or returns why not.
  mutating func offer(_ batch: RecordBatch, durability: Durability, ticket: Ticket) -> Offer {
    if let failure { return .refused(failure) }
    if isClosing { return .refused(LogError(.closed, "the log is closed")) }
    guard hasSpace(for: batch.payload.count) else { return .full }
    let pending = Pending(ticket: ticket, batch: batch, durability: durability, first: nextOffset)
    queued.append(pending)
    queuedBytes += batch.payload.count
    nextOffset = nextOffset + batch.count
    return .accepted(pending.offsets)
  }

  /// Accepts nothing more; what is queued is still written.
  mutating func close() { isClosing = true }

  /// As many batches as fill a block, at least one.
  private mutating func takeGroup() -> Group {
    var bytes = 0
    var count = 0
    while count < queued.count, count == 0 || bytes + queued[count].batch.payload.count <= blockBytes {
      bytes += queued[count].batch.payload.count
      count += 1
    }
    let appends: [Pending]
    if count == queued.count {
      // The array itself: no copy and no counting under a lock that all appenders need.
      appends = queued
      queued = []
    } else {
      appends = Array(queued[..<count])
      queued.removeFirst(count)
    }
    queuedBytes -= bytes
    defer { taken += 1 }
    return Group(number: taken, appends: appends, bytes: bytes)
  }
}

// MARK: - The encoders' side

extension AppendQueue {
  enum Encode {
    /// Compress this, then call ``encoded(_:_:)``.
    case compress(Group)
    case wait
    /// Nothing more will come.
    case finish
  }

  /// Whether there is work for an encoder. Queued bytes of a block's size make a whole block: then either the next
  /// batch does not fit, or no other would.
  var wantsEncoder: Bool {
    (queuedBytes >= blockBytes || hasHalfOfCallers) && usesEncoders
      && pipeline.count + abandoned + committing.count { $0.block != nil } < slots
  }

  private var hasHalfOfCallers: Bool {
    guard pipeline.isEmpty, queued.count >= manyCallers, !committing.isEmpty else { return false }
    return queued.count * 2 >= committing.reduce(lastCompleted) { $0 + $1.appends.count }
  }

  private var usesEncoders: Bool { slots > 0 && !isParked && !isTrying }

  mutating func encode() -> Encode {
    guard wantsEncoder else { return isEnding && queued.isEmpty ? .finish : .wait }
    let group = takeGroup()
    pipelineBytes += group.bytes
    pipeline.append(group)
    return .compress(group)
  }

  /// The group of this number is compressed, or cannot be. False when it is no longer needed.
  @discardableResult
  mutating func encoded(_ number: Int, _ block: Result<Block, LogError>) -> Bool {
    guard let index = pipeline.firstIndex(where: { $0.number == number }) else {
      precondition(abandoned > 0, "only what was taken can be compressed")
      abandoned -= 1
      return false
    }
    precondition(pipeline[index].block == nil, "a group is compressed once")
    pipeline[index].block = block
    return true
  }

  /// Takes everything back from the encoders; those at work learn later that their result is not needed.
  private mutating func emptyPipeline() -> [Pending] {
    defer {
      pipeline = []
      pipelineBytes = 0
    }
    abandoned += pipeline.count { $0.block == nil }
    return pipeline.flatMap(\.appends)
  }
}

// MARK: - The committer's side

extension AppendQueue {
  enum Next {
    /// Compress this one and write it, then call ``completed(_:)``.
    case compress(Group)
    /// Write these, in order, before one sync, then call ``completed(_:)``.
    case write([Group])
    /// Nothing to do yet.
    case wait
    /// Queued appends must wait for disk space.
    case parked
    /// Nothing more will come.
    case finish
  }

  /// Whether ``next()`` would give the committer something to do.
  var wantsCommitter: Bool {
    if let first = pipeline.first { return first.block != nil }
    guard !queued.isEmpty else { return isEnding }
    if isParked, !isClosing { return false }
    return !usesEncoders || queuedBytes < blockBytes
  }

  /// The committer's next step: all compressed groups that are next in order; or, when nothing is in progress, what has
  /// accumulated.
  mutating func next() -> Next {
    precondition(committing.isEmpty, "one commit at a time")
    guard wantsCommitter else { return isParked && !queued.isEmpty ? .parked : .wait }
    if !pipeline.isEmpty {
      let count = pipeline.firstIndex { $0.block == nil } ?? pipeline.count
      committing = Array(pipeline[..<count])
      pipeline.removeFirst(count)
      pipelineBytes -= committing.reduce(0) { $0 + $1.bytes }
      return .write(committing)
    }
    guard !queued.isEmpty else { return .finish }
    let group = takeGroup()
    committing = [group]
    return .compress(group)
  }

  /// The first `count` groups of the commit are as safe as their appends asked. The commit ends with the last of them.
  mutating func completed(_ count: Int) {
    precondition(count > 0 && count <= committing.count)
    writtenEnd = committing[count - 1].end
    lastCompleted = committing[count - 1].appends.count
    committing.removeFirst(count)
    isTrying = false
  }

  /// The rest of the commit found no disk space, and the queued appends will find none: returns the queued ones, to be
  /// answered. Later appends are accepted again, with offsets from `end` on.
  mutating func ranOutOfSpace(end: Offset) -> [Pending] {
    precondition(!committing.isEmpty)
    isParked = false
    isTrying = false
    defer { nextOffset = end }
    return abandonAll()
  }

  /// No more can be written: returns the queued appends, to be answered.
  mutating func fail(_ error: LogError) -> [Pending] {
    failure = error
    return abandonAll()
  }

  private mutating func abandonAll() -> [Pending] {
    defer {
      committing = []
      queued = []
      queuedBytes = 0
    }
    return emptyPipeline() + queued
  }

  /// The rest of the commit found no disk space. It returns to the front of the queue, with all compressed groups,
  /// until ``unpark()``. False when the queue is closing: then no append waits, and ``ranOutOfSpace(end:)`` must
  /// follow.
  mutating func park() -> Bool {
    precondition(!committing.isEmpty)
    guard !isClosing else { return false }
    isParked = true
    queued = committing.flatMap(\.appends) + emptyPipeline() + queued
    queuedBytes = queued.reduce(0) { $0 + $1.batch.payload.count }
    committing = []
    return true
  }

  /// The disk may have space again. Encoders do not work before that is known.
  mutating func unpark() {
    if isParked { isTrying = true }
    isParked = false
  }

  /// Takes back batches that wait for disk space. Later batches move up: nothing has been written, and callers have
  /// seen offsets only as forecasts. Takes nothing back unless parked.
  mutating func withdraw(_ isWithdrawn: (Ticket) -> Bool) -> [Pending] {
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
}
