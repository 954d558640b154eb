internal import Synchronization

/// Decoded blocks, shared by all readers of a log. The first reader that misses a block decodes it; others that need it
/// meanwhile wait for that. It locks the ``BlockCache``.
final class SharedBlocks: Sendable {
  private typealias Cache = BlockCache<DecodedBlock, Decoding>
  private let cache = Mutex(
    Cache(tail: .init(blocks: 64, bytes: 8 << 20), recent: .init(blocks: 64, bytes: 4 << 20)))
  let readers = BlockReaders()
  private let retainsCompressedFrames = Atomic(false)

  /// A decoding in progress, and its outcome.
  private final class Decoding: Sendable {
    private let outcome = Monitor<Result<DecodedBlock, LogError>?>(nil)

    func end(_ result: Result<DecodedBlock, LogError>) {
      outcome.withLock { $0 = result }
      outcome.signalAll()
    }

    /// Blocks the calling thread, as reading from the disk does, for at most the decoding of one block. The decoding
    /// thread is already running and waits for no other. So reader threads may wait here, and cannot all do so.
    func wait() throws(LogError) -> DecodedBlock { try outcome.wait { $0 }.get() }
  }

  func find(_ offset: Offset) -> DecodedBlock? { cache.withLock { $0.find(offset) } }

  func insert(_ blocks: [DecodedBlock]) {
    guard !blocks.isEmpty else { return }
    cache.withLock { cache in for block in blocks { cache.insert(block) } }
  }

  /// From now on decoded blocks keep their frames: about a tenth more memory.
  func retainCompressedFrames() { retainsCompressedFrames.store(true, ordering: .relaxed) }

  func drop(below offset: Offset) { cache.withLock { $0.drop(below: offset) } }

  /// The block of an entry that holds `offset`. All waiting readers get a failure. Blocks the calling thread.
  func block(
    _ segment: Segment, _ entry: BlockEntry, for offset: Offset, end: Offset
  ) throws(LogError) -> DecodedBlock {
    let range = entry.baseOffset..<entry.endOffset
    switch cache.withLock({ $0.begin(range, for: offset, ticket: Decoding()) }) {
    case .found(let block): return block
    case .wait(let decoding): return try decoding.wait()
    case .decode(let decoding):
      let result: Result<DecodedBlock, LogError>
      do throws(LogError) {
        result = .success(
          try readers.with { (reader) throws(LogError) in
            reader.retainsCompressedFrames = retainsCompressedFrames.load(ordering: .relaxed)
            return try segment.decode(entry, with: reader)
          })
      } catch {
        result = .failure(error)
      }
      cache.withLock { $0.finish(range, try? result.get(), end: end) }
      decoding.end(result)
      return try result.get()
    }
  }
}
