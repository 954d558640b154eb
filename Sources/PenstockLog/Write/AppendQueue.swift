/// Group commit, decided: what is taken in, what goes into the next block, who compresses it, what is written before one sync,
/// who is told. A pure value; `Committer` performs what it returns, under one lock for the decision and outside it for the
/// acting.
///
/// While some groups are being written and synced, the next gather: the disk's own pace makes the groups, no timer does. A
/// group walks *queued* → *with an encoder* → *compressed* → *committing* → told; a small one that finds nothing else under
/// way goes straight to the committer, which compresses it itself.
///
/// Who takes how much: an encoder takes only a whole block's worth, so that eager encoders do not shred the queue; less
/// than that is left to gather until the committer has nothing else to do. But of a *crowd*, many appenders that each wait for
/// theirs, half is enough: those who are being committed and those who were told last are all there are, so when half of them
/// have come back, compressing theirs beside the sync splits the crowd in two that take turns, and no further.
///
/// States: *open* → (*draining* by ``close()``) → *done*; from any, *failed* by ``fail(_:)``, for ever. While the disk is full
/// and appends wait for room there, it is also *parked*, from ``park()`` to ``unpark()``; then *trying*, without encoders,
/// until a group is written.
///
/// Invariants
/// 1. Offsets are given out in the order of acceptance, without a hole.
/// 2. What is committing, compressed, with encoders and queued, in this order, has consecutive offsets: whoever is faster,
///    groups reach the committer in the order they were taken.
/// 3. `waitingBytes` is the sum over all that the committer does not have; it passes the limit only for a single batch
///    alone, and by parked groups.
/// 4. At most `slots` groups are with encoders, compressed, or committing as compressed by one.
/// 5. Every ticket taken in is answered exactly once: by `completed` or by `failed`.
package struct AppendQueue<Ticket, Block> {
  package struct Pending {
    package let ticket: Ticket
    package let batch: RecordBatch
    package let durability: Durability
    package fileprivate(set) var first: Offset
    package var offsets: Range<Offset> { first..<(first + batch.count) }
  }

  /// What becomes one block.
  package struct Group {
    /// Never given out twice.
    package let number: Int
    package let appends: [Pending]
    package let bytes: Int
    /// What an encoder made of it; nil while it does, and for a group that the committer compresses.
    package fileprivate(set) var block: Result<Block, LogError>?
    package var first: Offset { appends[0].first }
    package var batches: [RecordBatch] { appends.map { $0.batch } }
    package var end: Offset { appends[appends.count - 1].offsets.upperBound }
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
  private let slots: Int
  /// Fewer are no crowd.
  private let crowd: Int
  /// Appends of the newest group that was completed.
  private var lastTold = 0
  private var queued: [Pending] = []
  private var queuedBytes = 0
  /// With encoders or compressed, in order.
  private var pipeline: [Group] = []
  private var pipelineBytes = 0
  private var committing: [Group] = []
  /// Groups that an encoder still compresses, and nobody wants any more.
  private var abandoned = 0
  private var taken = 0
  private var nextOffset: Offset
  /// One past the last record whose group is completed.
  package private(set) var writtenEnd: Offset
  package private(set) var isClosing = false
  /// The disk is full, and what is queued waits for room there.
  package private(set) var isParked = false
  private var isTrying = false
  private var failure: LogError?

  /// - Parameter slots: How many groups may be compressed ahead of time; 0 leaves all compressing to the committer.
  /// - Parameter crowd: From how many appends on half of a crowd is compressed beside the other half's commit.
  package init(nextOffset: Offset, blockBytes: Int, queueBytes: Int, slots: Int = 0, crowd: Int = 16) {
    self.crowd = crowd
    self.nextOffset = nextOffset
    writtenEnd = nextOffset
    self.blockBytes = blockBytes
    self.queueBytes = queueBytes
    self.slots = slots
  }

  package var isIdle: Bool { queued.isEmpty && pipeline.isEmpty && committing.isEmpty }
  /// One past the last record accepted.
  package var acceptedEnd: Offset { nextOffset }
  package var waitingBytes: Int { queuedBytes + pipelineBytes }
  /// Nothing is taken in any more.
  package var isEnding: Bool { isClosing || failure != nil }

  /// Whether an offer of so many bytes would not be answered with `full`, were `kept` bytes queued beside what is.
  package func hasRoom(for bytes: Int, beside kept: Int = 0) -> Bool {
    waitingBytes + kept == 0 || waitingBytes + kept + bytes <= queueBytes
  }

  /// Takes a batch in, or says why not.
  package mutating func offer(_ batch: RecordBatch, durability: Durability, ticket: Ticket) -> Offer {
    if let failure { return .refused(failure) }
    if isClosing { return .refused(LogError(.closed, "the log is closed")) }
    guard hasRoom(for: batch.payload.count) else { return .full }
    let pending = Pending(ticket: ticket, batch: batch, durability: durability, first: nextOffset)
    queued.append(pending)
    queuedBytes += batch.payload.count
    nextOffset = nextOffset + batch.count
    return .accepted(pending.offsets)
  }

  /// Takes nothing more in; what is queued is still written.
  package mutating func close() { isClosing = true }

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
      // The array itself: nothing is copied, nothing counted, under a lock that all who append want.
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
  package enum Encode {
    /// Compress this, then call ``encoded(_:_:)``.
    case compress(Group)
    case wait
    /// Nothing will come any more.
    case finish
  }

  /// Whether an encoder would be given something. A whole block is there when the bytes make one: then either the next batch
  /// does not fit any more, or nothing more would.
  package var wantsEncoder: Bool {
    (queuedBytes >= blockBytes || hasHalfOfCrowd) && usesEncoders
      && pipeline.count + abandoned + committing.count { $0.block != nil } < slots
  }

  private var hasHalfOfCrowd: Bool {
    guard pipeline.isEmpty, queued.count >= crowd, !committing.isEmpty else { return false }
    return queued.count * 2 >= committing.reduce(lastTold) { $0 + $1.appends.count }
  }

  private var usesEncoders: Bool { slots > 0 && !isParked && !isTrying }

  package mutating func encode() -> Encode {
    guard wantsEncoder else { return isEnding && queued.isEmpty ? .finish : .wait }
    let group = takeGroup()
    pipelineBytes += group.bytes
    pipeline.append(group)
    return .compress(group)
  }

  /// The group of this number is compressed, or cannot be. False when nobody wants it any more.
  @discardableResult
  package mutating func encoded(_ number: Int, _ block: Result<Block, LogError>) -> Bool {
    guard let index = pipeline.firstIndex(where: { $0.number == number }) else {
      precondition(abandoned > 0, "only what was taken can be compressed")
      abandoned -= 1
      return false
    }
    precondition(pipeline[index].block == nil, "a group is compressed once")
    pipeline[index].block = block
    return true
  }

  /// Takes everything back from the encoders; those at work will be told that nobody wants it.
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
  package enum Next {
    /// Compress this one and write it, then call ``completed(_:)``.
    case compress(Group)
    /// Write these, in order, before one sync, then call ``completed(_:)``.
    case write([Group])
    /// Nothing to do yet.
    case wait
    /// What is queued must wait for room on the disk.
    case parked
    /// Nothing will come any more.
    case finish
  }

  /// Whether ``next()`` would give the committer something to do.
  package var wantsCommitter: Bool {
    if let first = pipeline.first { return first.block != nil }
    guard !queued.isEmpty else { return isEnding }
    if isParked, !isClosing { return false }
    return !usesEncoders || queuedBytes < blockBytes
  }

  /// What the committer does next: all that is compressed and next in order; or, when nothing is under way, what has
  /// gathered.
  package mutating func next() -> Next {
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
  package mutating func completed(_ count: Int) {
    precondition(count > 0 && count <= committing.count)
    writtenEnd = committing[count - 1].end
    lastTold = committing[count - 1].appends.count
    committing.removeFirst(count)
    isTrying = false
  }

  /// What is left of the commit found no room on the disk, and so will those behind it: returns those, to be told. What comes
  /// later is taken in again, with offsets from `end` on.
  package mutating func ranOutOfSpace(end: Offset) -> [Pending] {
    precondition(!committing.isEmpty)
    isParked = false
    isTrying = false
    defer { nextOffset = end }
    return abandonAll()
  }

  /// Nothing can be written any more: returns those behind the commit, to be told.
  package mutating func fail(_ error: LogError) -> [Pending] {
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

  /// What is left of the commit found no room on the disk: back to the front of the line, and what was compressed with it,
  /// until ``unpark()``. False when the queue is closing; then nobody waits any longer, and ``ranOutOfSpace(end:)`` is next.
  package mutating func park() -> Bool {
    precondition(!committing.isEmpty)
    guard !isClosing else { return false }
    isParked = true
    queued = committing.flatMap(\.appends) + emptyPipeline() + queued
    queuedBytes = queued.reduce(0) { $0 + $1.batch.payload.count }
    committing = []
    return true
  }

  /// There may be room on the disk again. Nothing is compressed ahead of time before that is known.
  package mutating func unpark() {
    if isParked { isTrying = true }
    isParked = false
  }

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
}
