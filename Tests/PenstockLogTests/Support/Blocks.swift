@testable import PenstockLog
import PenstockTestKit

/// Blocks outside a log.
enum Blocks {
  static let salt: [UInt8] = Array(1...16)
  static let seed = Checksum.of(salt)

  static func place(position: UInt64 = 8192, base: UInt64 = 1_000) -> BlockAddress {
    BlockAddress(
      position: position, baseOffset: Offset(base), segment: 7, epoch: 3, durableUpTo: 8192,
      appendTime: Timestamp(nanoseconds: 1_767_225_600_000_000_001), chain: 0x0102_0304_0506_0708, seed: seed)
  }

  static func encode(_ batches: [RecordBatch], level: Int = 1) throws -> (header: BlockHeader, bytes: [UInt8]) {
    var encoder = try WholeBlockEncoder(level: level)
    let length = try encoder.compress(batches)
    let block = encoder.finish(at: place()) { (header, bytes) in (header, Array(bytes)) }
    precondition(block.1.count == length)
    return block
  }

  /// What a reader does with bytes where a block should stand; throws what is wrong with them.
  static func read(_ bytes: [UInt8]) throws -> (header: BlockHeader, records: [[UInt8]]) {
    try bytes.withUnsafeBytes { bytes in
      guard bytes.count >= BlockFormat.headerSize else { throw BlockFlaw("cut short") }
      let header = try BlockHeader(decoding: bytes, seed: seed)
      guard bytes.count >= header.totalLength else { throw BlockFlaw("cut short") }
      let block = try BlockDecoder.decode(
        header, UnsafeRawBufferPointer(rebasing: bytes[..<header.totalLength]), seed: seed, with: BlockReader())
      var records: [[UInt8]] = []
      block.forEachRecord(in: 0..<block.count) { records.append(Array($0.bytes)) }
      return (header, records)
    }
  }

  /// Makes a block of a later format version out of a block: intact, and not for this code.
  static func ofFutureVersion(_ block: [UInt8], seed: UInt32) -> [UInt8] {
    var block = block
    block.withUnsafeMutableBytes { bytes in
      bytes.put(UInt16(2), at: 12)
      bytes.put(Checksum.of(UnsafeRawBufferPointer(rebasing: bytes[..<108]), seed: seed), at: 108)
    }
    return block
  }
}

/// Compresses and completes with one block, used again and again, as a committer does.
struct WholeBlockEncoder {
  private var encoder: BlockEncoder
  private let block = EncodedBlock()

  init(level: Int) throws { encoder = try BlockEncoder(level: level) }

  /// Returns the whole block's length.
  mutating func compress(_ batches: [RecordBatch]) throws -> Int {
    try encoder.compress(batches, into: block)
    return block.length
  }

  func finish<Result>(at place: BlockAddress, _ body: (BlockHeader, UnsafeRawBufferPointer) -> Result) -> Result {
    block.finish(at: place, body)
  }
}
