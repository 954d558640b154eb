/// A contiguous range of records of one block.
package struct BlockSlice: Sendable {
  private enum Storage: Sendable {
    case decoded(DecodedBlock)
    case packed(PackedBlock)
  }
  private let storage: Storage
  /// Indices of records within the block.
  package let indices: Range<Int>
  /// The records' bytes together, without line feeds.
  package let byteCount: Int

  package init(block: DecodedBlock, indices: Range<Int>) {
    storage = .decoded(block)
    self.indices = indices
    byteCount = block.byteCount(of: indices)
  }

  /// All records of a block, which is not opened.
  init(unopened block: PackedBlock) {
    storage = .packed(block)
    indices = 0..<block.count
    byteCount = block.byteCount
  }

  private init(_ block: PackedBlock, like slice: BlockSlice) {
    storage = .packed(block)
    indices = slice.indices
    byteCount = slice.byteCount
  }

  /// The same records, of a block that is kept as its frame and unpacked on each access. Returns itself where there is
  /// no frame.
  func packed(unpackedBy readers: BlockReaders) -> BlockSlice {
    guard case .decoded(let block) = storage, let packed = PackedBlock(block, unpackedBy: readers) else { return self }
    return BlockSlice(packed, like: self)
  }

  var isPacked: Bool { if case .packed = storage { true } else { false } }
  /// Whether its block was never decompressed; see ``PackedBlock``.
  var isUnopened: Bool { if case .packed(let block) = storage { block.isUnopened } else { false } }

  /// The stored frame of exactly these records; see ``DecodedBlock/frame``.
  package var frame: [UInt8]? {
    switch storage {
    case .decoded(let block): whole(block.frame, of: block.count)
    case .packed(let block): whole(block.frame, of: block.count)
    }
  }

  /// CRC-32C of exactly these records with their line feeds, where the block's trailer says it; nil also where there is
  /// no ``frame``.
  package var contentChecksum: UInt32? {
    switch storage {
    case .decoded(let block): whole(block.contentChecksum, of: block.count)
    case .packed(let block): whole(block.contentChecksum, of: block.count)
    }
  }

  private func whole<Value>(_ value: Value?, of count: Int) -> Value? { indices.count == count ? value : nil }

  private var baseOffset: Offset {
    switch storage {
    case .decoded(let block): block.baseOffset
    case .packed(let block): block.baseOffset
    }
  }

  /// The bytes of the whole block's records, line feeds included.
  package var payloadCount: Int {
    switch storage {
    case .decoded(let block): block.payload.count
    case .packed(let block): block.payloadCount
    }
  }

  var first: Offset { baseOffset + indices.lowerBound }
  package var end: Offset { baseOffset + indices.upperBound }

  var firstAppendTime: Timestamp {
    switch storage {
    case .decoded(let block): block.appendTimes.time(of: indices.lowerBound)
    case .packed(let block): block.appendTimes.time(of: indices.lowerBound)
    }
  }

  /// The whole block. O(1), or O(block) where it is packed: then its memory lives only as long as the caller's
  /// reference.
  var block: DecodedBlock {
    switch storage {
    case .decoded(let block): block
    case .packed(let block): block.unpacked()
    }
  }

  /// The whole block's records with their line feeds; as ``block``, without finding the records' ends.
  package var payload: BlockPayload {
    switch storage {
    case .decoded(let block): block.payload
    case .packed(let block): block.payload()
    }
  }

  package func forEachRecord<Failure: Error>(_ body: (RecordView) throws(Failure) -> Void) throws(Failure) {
    try block.forEachRecord(in: indices, body)
  }
}

/// The slices of a growing batch. A small batch holds its blocks decoded, which costs nothing. From ``packedAbove`` on,
/// all its slices are packed. Such a batch takes the memory of its frames, and of one block during a read.
struct BatchSlices {
  private(set) var slices: [BlockSlice] = []
  private(set) var byteCount = 0
  private var isPacking = false
  private let readers: BlockReaders?

  /// - Parameter readers: Nil packs nothing: for a caller that reads the batch at once and discards it.
  init(unpackedBy readers: BlockReaders?) { self.readers = readers }

  mutating func append(_ slice: BlockSlice) {
    byteCount += slice.byteCount
    guard let readers, byteCount > Batch.packedAbove else { return slices.append(slice) }
    if !isPacking {
      isPacking = true
      slices = slices.map { $0.packed(unpackedBy: readers) }
    }
    slices.append(slice.packed(unpackedBy: readers))
  }
}

extension Batch {
  /// Batches of more record bytes hold their blocks as stored, where the log keeps frames.
  package static let packedAbove = 4 << 20
}
