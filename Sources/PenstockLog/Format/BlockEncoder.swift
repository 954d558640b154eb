/// The address of a future block: what its header holds apart from its records.
struct BlockAddress: Hashable, Sendable {
  var position: UInt64
  var baseOffset: Offset
  var segment: UInt64
  var epoch: UInt32
  var durableUpTo: UInt64
  var appendTime: Timestamp
  var chain: UInt64
  /// CRC-32C of the segment's salt.
  var seed: UInt32

  init(
    position: UInt64, baseOffset: Offset, segment: UInt64, epoch: UInt32, durableUpTo: UInt64, appendTime: Timestamp,
    chain: UInt64, seed: UInt32
  ) {
    self.position = position
    self.baseOffset = baseOffset
    self.segment = segment
    self.epoch = epoch
    self.durableUpTo = durableUpTo
    self.appendTime = appendTime
    self.chain = chain
    self.seed = seed
  }
}

/// Turns batches of records into one block. Keeps its compression context; only one thread may use it at a time.
///
/// Two steps, because a block's address may depend on its length: ``compress(_:into:)``, then
/// ``EncodedBlock/finish(at:_:)``. The first is expensive and needs no address, so any thread may do it ahead of time.
/// The second is cheap and is done in order.
package struct BlockEncoder {
  private let compressor: ZstdCompressor
  /// Joined batches, where there are several.
  private var joined: [UInt8] = []

  package init(level: Int) throws(LogError) { compressor = try ZstdCompressor(level: level) }

  /// Compresses the records of `batches`, in order, into `block`, and replaces its contents.
  package mutating func compress(_ batches: some Collection<RecordBatch>, into block: EncodedBlock) throws(LogError) {
    let start = block.begin(batches)
    if batches.count == 1, let only = batches.first {
      try compress(only.payload, into: block, at: start)
    } else {
      joined.removeAll(keepingCapacity: true)
      for batch in batches { joined.append(contentsOf: batch.payload) }
      try compress(joined, into: block, at: start)
    }
  }

  private func compress(_ payload: [UInt8], into block: EncodedBlock, at start: Int) throws(LogError) {
    var failure: LogError?
    let compressor = compressor
    // Before it is compressed: then the compressor finds it in the processor's cache.
    let checksum = Checksum.of(payload)
    let count = payload.withUnsafeBytes { source in
      block.withFrame(at: start) { target in
        do throws(LogError) { return try compressor.compress(source, into: target) } catch {
          failure = error
          return 0
        }
      }
    }
    if let failure { throw failure }
    block.end(storedLength: count, contentChecksum: checksum)
  }
}

extension [UInt8] {
  package mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
