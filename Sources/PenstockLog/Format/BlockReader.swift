internal import Synchronization

/// The reusable parts of reading a block: a decompression context and a buffer for the stored bytes. Only one thread
/// may use it at a time.
///
/// `@unchecked Sendable`: the thread that takes it out of ``BlockReaders`` is its only holder until it returns it.
final class BlockReader: @unchecked Sendable {
  let decompressor = ZstdDecompressor()
  let memory: BlockMemoryPool
  /// Whether decoded blocks keep the frame from which they were decompressed; see ``DecodedBlock/frame``.
  var retainsCompressedFrames = false
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// A larger buffer is freed after use.
  private static let keptBytes = 1 << 20

  init(memory: BlockMemoryPool = BlockMemoryPool()) { self.memory = memory }

  deinit { buffer.deallocate() }

  /// Lends a buffer of `count` bytes.
  func withBuffer<Result, Failure: Error>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    if buffer.count < count {
      buffer.deallocate()
      buffer = .allocate(byteCount: (count + 65_535) & ~65_535, alignment: 64)
    }
    defer {
      if buffer.count > Self.keptBytes {
        buffer.deallocate()
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      }
    }
    return try body(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
  }
}

/// A few block readers for any number of tasks.
final class BlockReaders: Sendable {
  private let idle = Mutex<[BlockReader]>([])
  private let memory = BlockMemoryPool()
  private static let kept = 4

  init() {}

  func with<Result, Failure: Error>(_ body: (BlockReader) throws(Failure) -> Result) throws(Failure) -> Result {
    let reader = idle.withLock { $0.popLast() } ?? BlockReader(memory: memory)
    defer { idle.withLock { if $0.count < Self.kept { $0.append(reader) } } }
    return try body(reader)
  }
}
