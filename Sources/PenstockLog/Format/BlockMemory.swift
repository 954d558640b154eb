internal import Synchronization

/// Memory for one payload. The last reference returns it to its pool.
///
/// `@unchecked Sendable`: its maker writes it before any other thread has it; from then on it is only read.
final class BlockMemory: @unchecked Sendable {
  fileprivate let start: UnsafeMutableRawPointer
  fileprivate let capacity: Int
  private let pool: BlockMemoryPool

  fileprivate init(_ start: UnsafeMutableRawPointer, capacity: Int, _ pool: BlockMemoryPool) {
    self.start = start
    self.capacity = capacity
    self.pool = pool
  }

  deinit { pool.put(start, capacity: capacity) }

  /// For its maker.
  func mutableBytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: start, count: min(count, capacity))
  }
}

/// Keeps some memory of released blocks for the next block. The kernel supplies fresh memory of this size page by page.
/// It clears and maps each page at its first touch, and unmaps it for all processors at the end. That was a third of
/// the time of a replay, and two threads of a replay waited for it.
final class BlockMemoryPool: Sendable {
  /// `@unchecked Sendable`: no thread uses the memory of a pooled piece; a thread that takes a piece is its only
  /// holder.
  private struct Piece: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
    let capacity: Int
  }
  private let free = Mutex<[Piece]>([])
  /// Capacities are multiples of this, so that blocks of nearly equal size share pieces.
  private static let grain = 64 << 10
  private static let keptBytes = 4 << 20

  init() {}

  deinit { for piece in free.withLock({ $0 }) { piece.start.deallocate() } }

  func take(_ count: Int) -> BlockMemory {
    let capacity = max(1, count + Self.grain - 1) / Self.grain * Self.grain
    // The piece returned last is the most likely one to be in the processor's cache.
    let piece: Piece? = free.withLock { free in
      free.lastIndex { $0.capacity >= count && $0.capacity <= 2 * capacity }.map { free.remove(at: $0) }
    }
    if let piece { return BlockMemory(piece.start, capacity: piece.capacity, self) }
    return BlockMemory(.allocate(byteCount: max(capacity, 1), alignment: 64), capacity: capacity, self)
  }

  fileprivate func put(_ start: UnsafeMutableRawPointer, capacity: Int) {
    let dropped: [Piece] = free.withLock { free in
      free.append(Piece(start: start, capacity: capacity))
      var bytes = free.reduce(0) { $0 + $1.capacity }
      var dropped: [Piece] = []
      while bytes > Self.keptBytes {
        bytes -= free[0].capacity
        dropped.append(free.removeFirst())
      }
      return dropped
    }
    for piece in dropped { piece.start.deallocate() }
  }
}

/// A block's records, each followed by one line feed, in either kind of memory.
package struct BlockPayload: Sendable {
  private enum Storage: Sendable {
    case array([UInt8])
    case memory(BlockMemory)
  }
  private let storage: Storage
  let count: Int

  init(_ bytes: [UInt8]) {
    storage = .array(bytes)
    count = bytes.count
  }

  init(_ memory: BlockMemory, count: Int) {
    storage = .memory(memory)
    self.count = count
  }

  var isEmpty: Bool { count == 0 }

  /// A copy of the bytes.
  var bytes: [UInt8] {
    if case .array(let bytes) = storage { return bytes }
    return withUnsafeBytes { Array($0) }
  }

  package func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch storage {
    case .array(let bytes):
      try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
    case .memory(let memory):
      try withExtendedLifetime(memory) { () throws(Failure) in
        try body(UnsafeRawBufferPointer(memory.mutableBytes(count)))
      }
    }
  }
}
