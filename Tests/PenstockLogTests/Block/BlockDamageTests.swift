@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct BlockDamageTests {
  /// Whether bytes are refused; a block that is read must be the one that was written.
  private func isRefused(_ bytes: [UInt8]) -> Bool { (try? Blocks.read(bytes)) == nil }

  @Test(arguments: [false, true])
  func `every single bit of a block, flipped, makes it refused`(hasLineFeeds: Bool) throws {
    let last: [UInt8] = hasLineFeeds ? [10, 65] : [65]
    let (_, bytes) = try Blocks.encode([batch([record(1), [], last])])
    try #require(bytes.count == 4096)
    var accepted: [Int] = []
    forEachFlippedBit(bytes) { bit, bytes in if !isRefused(bytes) { accepted.append(bit) } }
    #expect(accepted == [])
    #expect(!isRefused(bytes))
  }

  @Test func `every truncation is refused`() throws {
    let bytes = try Blocks.encode([batch([record(1), record(2)])]).bytes
    let accepted = (0..<bytes.count).filter { !isRefused(Array(bytes[..<$0])) }
    #expect(accepted == [])
  }

  @Test func `every zeroed sector is refused`() throws {
    var random = SplitMix64(seed: 31)
    let bytes = try Blocks.encode([batch([random.bytes(6_000)])]).bytes
    for sector in 0..<(bytes.count / 512) {
      var damaged = bytes
      damaged.replaceSubrange((sector * 512)..<((sector + 1) * 512), with: [UInt8](repeating: 0, count: 512))
      if damaged != bytes { #expect(isRefused(damaged), "sector \(sector)") }
    }
  }

  @Test func `a block of another salt is refused`() throws {
    let bytes = try Blocks.encode([batch([record(1)])]).bytes
    #expect(throws: BlockHeader.Flaw.invalid("header checksum")) {
      try bytes.withUnsafeBytes { _ = try BlockHeader(decoding: $0, seed: Blocks.seed ^ 1) }
    }
  }

  @Test func `a later version is told apart from damage`() throws {
    let bytes = try Blocks.encode([batch([record(1)])]).bytes
    #expect(throws: BlockHeader.Flaw.futureVersion(2)) {
      try Blocks.read(Blocks.ofFutureVersion(bytes, seed: Blocks.seed))
    }
    var changed = bytes
    changed[12] = 2
    #expect(throws: BlockHeader.Flaw.invalid("header checksum")) { try Blocks.read(changed) }
  }

  @Test func `zeros are the absence of a block`() {
    #expect(throws: BlockHeader.Flaw.absent) { try Blocks.read([UInt8](repeating: 0, count: 4096)) }
  }

  @Test func `a decompressor is given no more than it was promised`() throws {
    let payload = Array(repeating: UInt8(65), count: 100_000)
    let frame = try payload.withUnsafeBytes { try Zstd.compress($0, level: 1) }
    for count in [0, 1, 99_999, 100_001] {
      #expect(throws: LogError.self) { try frame.withUnsafeBytes { try Zstd.decompress($0, count: count) } }
    }
    #expect(try frame.withUnsafeBytes { try Zstd.decompress($0, count: 100_000) } == payload)
  }
}
