internal import Synchronization

/// Memory for one payload; given back to its pool by the last reader that lets go.
///
/// `@unchecked Sendable`: written by its maker alone, before anybody else has it, and only read from then on.
package final class BlockMemory: @unchecked Sendable {
  fileprivate let start: UnsafeMutableRawPointer
  fileprivate let capacity: Int
  private let pool: BlockMemoryPool

  fileprivate init(_ start: UnsafeMutableRawPointer, capacity: Int, _ pool: BlockMemoryPool) {
    self.start = start
    self.capacity = capacity
    self.pool = pool
  }

  deinit { pool.put(start, capacity: capacity) }

  /// For the maker.
  func mutableBytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: start, count: min(count, capacity))
  }
}

/// Keeps some memory that readers let go of for the next block. Fresh memory of this size comes from the kernel page by page,
/// each cleared and mapped at its first touch and unmapped for all processors at the end: a third of the time of a replay, and
/// what two threads of it waited for.
package final class BlockMemoryPool: Sendable {
  /// `@unchecked Sendable`: in the pool nobody uses the memory; whoever takes a piece out is its only holder.
  private struct Piece: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
    let capacity: Int
  }
  private let free = Mutex<[Piece]>([])
  /// Pieces are multiples of this, so that blocks of nearly one size share them.
  private static let grain = 64 << 10
  private static let keptBytes = 4 << 20

  package init() {}

  deinit { for piece in free.withLock({ $0 }) { piece.start.deallocate() } }

  func take(_ count: Int) -> BlockMemory {
    let capacity = max(1, count + Self.grain - 1) / Self.grain * Self.grain
    // The piece given back last is the one the processor still has at hand.
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

/// A block's records, each followed by one line feed, wherever the bytes are.
package struct BlockPayload: Sendable {
  private enum Storage: Sendable {
    case array([UInt8])
    case memory(BlockMemory)
  }
  private let storage: Storage
  package let count: Int

  package init(_ bytes: [UInt8]) {
    storage = .array(bytes)
    count = bytes.count
  }

  init(_ memory: BlockMemory, count: Int) {
    storage = .memory(memory)
    self.count = count
  }

  package var isEmpty: Bool { count == 0 }

  /// The bytes copied out.
  package var bytes: [UInt8] {
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
