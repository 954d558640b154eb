/// A block that may be kept.
package protocol CacheableBlock: Sendable {
  var baseOffset: Offset { get }
  var endOffset: Offset { get }
  /// In memory, in bytes.
  var footprint: Int { get }
}

/// Which decoded blocks are kept, and which are being decoded. A pure value.
///
/// Two rooms. The *tail* keeps the newest blocks of the log that anybody asked for: a block leaves it only for blocks behind it,
/// so what readers at the end share cannot be pushed out by somebody who reads the whole log. What leaves it, and what is older,
/// goes through the *recent*, which keeps what was used last; it is small, because a replay leaves what it has read behind, and
/// memory that is used again soon is still in the processor's caches.
///
/// Invariants: neither room holds more than its limit (but one block, however large, has room in the recent); of all blocks put
/// in as near the end, the last ones that fit the tail together are there; for one range of offsets at most one decoding is under way.
package struct BlockCache<Block: CacheableBlock, Ticket> {
  package struct Limit: Hashable, Sendable {
    package var blocks: Int
    package var bytes: Int
    package init(blocks: Int, bytes: Int) {
      self.blocks = blocks
      self.bytes = bytes
    }
  }
  /// What somebody who needs a block is to do.
  package enum Turn {
    case found(Block)
    /// Another one decodes it: wait for that.
    case wait(Ticket)
    /// Decode it, then ``finish(_:_:)``.
    case decode(Ticket)
  }

  /// By offset.
  package private(set) var tail: [Block] = []
  /// The one used last, last.
  package private(set) var recent: [Block] = []
  package private(set) var underWay: [Range<Offset>: Ticket] = [:]
  private var tailBytes = 0
  private var recentBytes = 0
  private let tailLimit: Limit
  private let recentLimit: Limit

  package init(tail: Limit, recent: Limit) {
    tailLimit = tail
    recentLimit = recent
  }

  package mutating func find(_ offset: Offset) -> Block? {
    if let block = tail.last(where: { $0.baseOffset <= offset && offset < $0.endOffset }) { return block }
    guard let index = recent.lastIndex(where: { $0.baseOffset <= offset && offset < $0.endOffset }) else { return nil }
    let block = recent[index]
    if index < recent.count - 1 { recent.append(recent.remove(at: index)) }
    return block
  }

  /// Asks for the block with exactly these offsets, to read the record at `offset` in it.
  package mutating func begin(
    _ range: Range<Offset>, for offset: Offset, ticket: @autoclosure () -> Ticket
  ) -> Turn {
    if let block = find(offset) { return .found(block) }
    if let ticket = underWay[range] { return .wait(ticket) }
    let ticket = ticket()
    underWay[range] = ticket
    return .decode(ticket)
  }

  /// Ends a decoding, with its block or, where it failed, without.
  package mutating func finish(_ range: Range<Offset>, _ block: Block?, end: Offset = .zero) {
    underWay[range] = nil
    if let block { insert(block, end: end) }
  }

  /// - Parameter end: of the log. A block with more behind it than the tail holds, going by its own records' size, is not near.
  package mutating func insert(_ block: Block, end: Offset = .zero) {
    func isSame(_ other: Block) -> Bool {
      other.baseOffset == block.baseOffset && other.endOffset == block.endOffset
    }
    guard !tail.contains(where: isSame), !recent.contains(where: isSame) else { return }
    let behind = end > block.endOffset ? end - block.endOffset : 0
    let bytesBehind = Double(behind) * Double(block.footprint) / Double(max(1, block.endOffset - block.baseOffset))
    guard bytesBehind <= Double(tailLimit.bytes) else { return pass(block) }
    let place = tail.lastIndex { $0.baseOffset <= block.baseOffset }.map { $0 + 1 } ?? 0
    tail.insert(block, at: place)
    tailBytes += block.footprint
    while tail.count > tailLimit.blocks || tailBytes > tailLimit.bytes {
      let oldest = tail.removeFirst()
      tailBytes -= oldest.footprint
      pass(oldest)
    }
  }

  private mutating func pass(_ block: Block) {
    recent.append(block)
    recentBytes += block.footprint
    while recent.count > 1, recent.count > recentLimit.blocks || recentBytes > recentLimit.bytes {
      recentBytes -= recent.removeFirst().footprint
    }
  }

  /// Lets go of blocks whose records are all below `offset`.
  package mutating func drop(below offset: Offset) {
    tail.removeAll { $0.endOffset <= offset }
    recent.removeAll { $0.endOffset <= offset }
    tailBytes = tail.reduce(0) { $0 + $1.footprint }
    recentBytes = recent.reduce(0) { $0 + $1.footprint }
  }
}

extension DecodedBlock: CacheableBlock {}
