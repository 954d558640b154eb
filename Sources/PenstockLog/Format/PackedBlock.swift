/// A block kept as its frame, about a tenth of its size. Each access unpacks the records.
///
/// Unpacking cannot fail where the block was decoded when it was read: the frame has not left memory since. A block
/// that was taken *unopened* has only passed its checksums. It is for a reader that copies its frame and asks for no
/// record.
package final class PackedBlock: Sendable {
  let baseOffset: Offset
  let appendTimes: AppendTimes
  let count: Int
  /// The records' bytes with their line feeds.
  let payloadCount: Int
  let frame: [UInt8]
  /// CRC-32C of the records with their line feeds, where the block's trailer says it.
  let contentChecksum: UInt32?
  /// Whether it was never decompressed.
  let isUnopened: Bool
  private let readers: BlockReaders

  /// Smaller blocks are always decoded. Their frames compress much worse than large ones, so they are not copied.
  package static let leastUnopened = 64 << 10

  /// Nil where the frame was not kept, or where lines are not records; see ``DecodedBlock/frame``.
  init?(_ block: DecodedBlock, unpackedBy readers: BlockReaders) {
    guard let frame = block.frame else { return nil }
    baseOffset = block.baseOffset
    appendTimes = block.appendTimes
    count = block.count
    payloadCount = block.payload.count
    self.frame = frame
    contentChecksum = block.contentChecksum
    isUnopened = false
    self.readers = readers
  }

  /// An unopened block, which has passed its checksums and whose records contain no line feed.
  init(
    _ header: BlockHeader, _ appendTimes: AppendTimes, frame: [UInt8], contentChecksum: UInt32,
    unpackedBy readers: BlockReaders
  ) {
    baseOffset = header.baseOffset
    self.appendTimes = appendTimes
    count = header.recordCount
    payloadCount = header.rawLength
    self.frame = frame
    self.contentChecksum = contentChecksum
    isUnopened = true
    self.readers = readers
  }

  var endOffset: Offset { baseOffset + count }
  /// The records' bytes together, without line feeds.
  var byteCount: Int { payloadCount - count }

  /// The records with their line feeds, in memory that the last reference frees. O(block).
  func payload() -> BlockPayload {
    readers.with { reader in
      let memory = reader.memory.take(payloadCount)
      do {
        try frame.withUnsafeBytes { try reader.decompressor.decompress($0, into: memory.mutableBytes(payloadCount)) }
      } catch {
        preconditionFailure("a frame whose checksum is right cannot be decompressed: \(error)")
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
      baseOffset: baseOffset, appendTimes: appendTimes, payload: payload, ends: ends, frame: frame,
      contentChecksum: contentChecksum)
  }
}
