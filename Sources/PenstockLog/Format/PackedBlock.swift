/// A decoded block kept as the frame it came from, about a tenth of its size. Each access unpacks the records.
///
/// Unpacking cannot fail: the frame was validated and decompressed when it was read, and has not left memory since.
final class PackedBlock: Sendable {
  let baseOffset: Offset
  let appendTimes: AppendTimes
  let count: Int
  /// The records' bytes with their line feeds.
  let payloadCount: Int
  let frame: [UInt8]
  private let readers: BlockReaders

  /// Nil where the frame was not kept, or where lines are not records; see ``DecodedBlock/frame``.
  init?(_ block: DecodedBlock, unpackedBy readers: BlockReaders) {
    guard let frame = block.frame else { return nil }
    baseOffset = block.baseOffset
    appendTimes = block.appendTimes
    count = block.count
    payloadCount = block.payload.count
    self.frame = frame
    self.readers = readers
  }

  /// The records with their line feeds, in memory that the last reference frees. O(block).
  func payload() -> BlockPayload {
    readers.with { reader in
      let memory = reader.memory.take(payloadCount)
      do {
        try frame.withUnsafeBytes { try reader.decompressor.decompress($0, into: memory.mutableBytes(payloadCount)) }
      } catch {
        preconditionFailure("a frame that was decompressed before cannot be decompressed again: \(error)")
      }
      return BlockPayload(memory, count: payloadCount)
    }
  }

  /// The original block. O(block).
  func unpacked() -> DecodedBlock {
    let payload = payload()
    let ends = payload.withUnsafeBytes { Bytes.lineFeeds(in: $0, expecting: count) }
    precondition(ends.count == count, "a packed block has \(ends.count) lines for \(count) records")
    return DecodedBlock(
      baseOffset: baseOffset, appendTimes: appendTimes, payload: payload, ends: ends, frame: frame)
  }
}
