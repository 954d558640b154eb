/// A block that the cache can keep.
protocol CacheableBlock: Sendable {
  var baseOffset: Offset { get }
  var endOffset: Offset { get }
  /// The memory of the block, in bytes.
  var footprint: Int { get }
}

/// Which decoded blocks are kept, and which are being decoded. A pure value.
///
/// Two regions. The *tail* keeps the newest blocks of the log that readers asked for: only later blocks displace a
/// block there. So a reader of the whole log cannot displace the blocks that readers at the end share.
///
/// Blocks that leave the tail, and older ones, enter the *recent* region, which keeps the most recently used. It is
/// small for two reasons. A replay does not return to what it has read, and memory that is reused soon is still in the
/// processor's caches.
///
/// Invariants
/// 1. Neither region exceeds its limit, except that the recent region may hold one block of any size.
/// 2. Of all blocks inserted as near the end, the tail holds the last ones that fit together.
/// 3. For one range of offsets at most one decoding is in progress.
struct BlockCache<Block: CacheableBlock, Ticket> {
  struct Limit: Hashable, Sendable {
    var blocks: Int
    var bytes: Int
    init(blocks: Int, bytes: Int) {
      self.blocks = blocks
      self.bytes = bytes
    }
  }
  /// The next step for a reader that needs a block.
  enum Step {
    case found(Block)
    /// Another reader decodes it: wait for that.
    case wait(Ticket)
    /// Decode it, then ``finish(_:_:)``.
    case decode(Ticket)
  }

  /// By offset.
  private(set) var tail: [Block] = []
  /// In order of use, the most recently used last.
  private(set) var recent: [Block] = []
  private(set) var inProgress: [Range<Offset>: Ticket] = [:]
  private var tailBytes = 0
  private var recentBytes = 0
  private let tailLimit: Limit
  private let recentLimit: Limit

  init(tail: Limit, recent: Limit) {
    tailLimit = tail
    recentLimit = recent
  }

  mutating func find(_ offset: Offset) -> Block? {
    if let block = tail.last(where: { $0.baseOffset <= offset && offset < $0.endOffset }) { return block }
    guard let index = recent.lastIndex(where: { $0.baseOffset <= offset && offset < $0.endOffset }) else { return nil }
    let block = recent[index]
    if index < recent.count - 1 { recent.append(recent.remove(at: index)) }
    return block
  }

  /// Asks for the block with exactly these offsets, to read the record at `offset` in it.
  mutating func begin(
    _ range: Range<Offset>, for offset: Offset, ticket: @autoclosure () -> Ticket
  ) -> Step {
    if let block = find(offset) { return .found(block) }
    if let ticket = inProgress[range] { return .wait(ticket) }
    let ticket = ticket()
    inProgress[range] = ticket
    return .decode(ticket)
  }

  /// Ends a decoding, with its block or, after a failure, without.
  mutating func finish(_ range: Range<Offset>, _ block: Block?, end: Offset = .zero) {
    inProgress[range] = nil
    if let block { insert(block, end: end) }
  }

  /// - Parameter end: Of the log. A block is near the end if the tail can hold what follows it, estimated by the
  ///   block's own records.
  mutating func insert(_ block: Block, end: Offset = .zero) {
    func isSame(_ other: Block) -> Bool {
      other.baseOffset == block.baseOffset && other.endOffset == block.endOffset
    }
    guard !tail.contains(where: isSame), !recent.contains(where: isSame) else { return }
    let later = end > block.endOffset ? end - block.endOffset : 0
    let laterBytes = Double(later) * Double(block.footprint) / Double(max(1, block.endOffset - block.baseOffset))
    guard laterBytes <= Double(tailLimit.bytes) else { return insertRecent(block) }
    let place = tail.lastIndex { $0.baseOffset <= block.baseOffset }.map { $0 + 1 } ?? 0
    tail.insert(block, at: place)
    tailBytes += block.footprint
    while tail.count > tailLimit.blocks || tailBytes > tailLimit.bytes {
      let oldest = tail.removeFirst()
      tailBytes -= oldest.footprint
      insertRecent(oldest)
    }
  }

  private mutating func insertRecent(_ block: Block) {
    recent.append(block)
    recentBytes += block.footprint
    while recent.count > 1, recent.count > recentLimit.blocks || recentBytes > recentLimit.bytes {
      recentBytes -= recent.removeFirst().footprint
    }
  }

  /// Removes blocks whose records are all below `offset`.
  mutating func drop(below offset: Offset) {
    tail.removeAll { $0.endOffset <= offset }
    recent.removeAll { $0.endOffset <= offset }
    tailBytes = tail.reduce(0) { $0 + $1.footprint }
    recentBytes = recent.reduce(0) { $0 + $1.footprint }
  }
}

extension DecodedBlock: CacheableBlock {}
