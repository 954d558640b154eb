@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct ChecksumTests {
  @Test func `CRC-32C gives the values of RFC 3720, appendix B point 4`() {
    let vectors: [(bytes: [UInt8], value: UInt32)] = [
      ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
      ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
      (Array(0...31), 0x46DD_794E),
      (Array((0...31).reversed()), 0x113F_DB5C),
      (
        [
          0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0,
          0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
        ], 0xD996_3A56
      ),
      (Array("123456789".utf8), 0xE306_9283),
      ([], 0),
    ]
    for (bytes, value) in vectors {
      #expect(Checksum.of(bytes) == value)
      #expect(Checksum.portable(bytes) == value)
    }
  }

  @Test func `hardware and table agree at every length and alignment`() {
    var random = SplitMix64(seed: 11)
    let bytes = random.bytes(160)
    bytes.withUnsafeBytes { bytes in
      for start in 0...64 {
        for length in 0...64 {
          let part = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + length)])
          let seed = UInt32(truncatingIfNeeded: random.next())
          if Checksum.of(part, seed: seed) != Checksum.portable(Array(part), seed: seed) {
            Issue.record("start \(start), length \(length)")
          }
        }
      }
    }
  }

  @Test func `hardware and table agree on random bytes, in one piece and in pieces`() {
    var random = SplitMix64(seed: 12)
    for _ in 0..<50 {
      // Three lanes of a kibibyte at once, and what is left.
      let bytes = random.bytes(random.below(12_000))
      let seed = UInt32(truncatingIfNeeded: random.next())
      let whole = Checksum.of(bytes, seed: seed)
      #expect(whole == Checksum.portable(bytes, seed: seed))
      var pieces = Checksum(seed: seed)
      let cut = random.below(bytes.count + 1)
      Array(bytes[..<cut]).withUnsafeBytes { pieces.update($0) }
      Array(bytes[cut...]).withUnsafeBytes { pieces.update($0) }
      #expect(pieces.value == whole)
    }
  }

  @Test func `the checksum of joined bytes is made of those of the parts and of a length`() {
    var random = SplitMix64(seed: 15)
    for lengths in [(0, 0), (0, 5), (5, 0), (1, 1), (7, 4_096), (9_000, 3), (20_000, 70_001)] {
      let (a, b) = (random.bytes(lengths.0), random.bytes(lengths.1))
      #expect(Checksum.joined(Checksum.of(a), Checksum.of(b), ofLength: b.count) == Checksum.of(a + b))
    }
    for _ in 0..<200 {
      let bytes = random.bytes(random.below(3_000))
      var (joined, rest) = (UInt32(0), bytes[...])
      while !rest.isEmpty {
        let part = Array(rest.prefix(1 + random.below(700)))
        joined = Checksum.joined(joined, Checksum.of(part), ofLength: part.count)
        rest = rest.dropFirst(part.count)
      }
      #expect(joined == Checksum.of(bytes))
    }
  }

  @Test func `lengths of any size are joined: so many zeros by halves are what they are at once`() {
    let block = [UInt8](repeating: 0, count: 1 << 20)
    var (whole, joined, length) = (Checksum(), Checksum.of(block), block.count)
    for _ in 0..<64 { block.withUnsafeBytes { whole.update($0) } }
    for _ in 0..<6 { (joined, length) = (Checksum.joined(joined, joined, ofLength: length), 2 * length) }
    #expect(joined == whole.value && length == 64 << 20)
    // Beyond what fits into memory, only that the order of joining does not matter.
    for _ in 0..<12 { (joined, length) = (Checksum.joined(joined, joined, ofLength: length), 2 * length) }
    let (ab, abc) = (
      Checksum.joined(1, joined, ofLength: length), Checksum.joined(joined, 5, ofLength: 7)
    )
    #expect(Checksum.joined(ab, 5, ofLength: 7) == Checksum.joined(1, abc, ofLength: length + 7))
  }

  @Test func `a seed changes the checksum`() {
    #expect(Checksum.of([1, 2, 3], seed: 1) != Checksum.of([1, 2, 3], seed: 2))
  }

  @Test(arguments: [BlockFormat.headerSize, SegmentHeader.pageSize])
  func `every bit of a header changes the chain`(size: Int) {
    var random = SplitMix64(seed: 13)
    let bytes = random.bytes(size)
    let link = bytes.withUnsafeBytes { Chain.link($0) }
    var links: Set<UInt64> = [link]
    forEachFlippedBit(bytes) { _, bytes in links.insert(bytes.withUnsafeBytes { Chain.link($0) }) }
    #expect(links.count == size * 8 + 1)
  }

  @Test func `the chain tells zeros of different lengths and swapped words apart`() {
    func link(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { Chain.link($0) } }
    #expect(link([UInt8](repeating: 0, count: 8)) != link([UInt8](repeating: 0, count: 16)))
    let (a, b): ([UInt8], [UInt8]) = (Array(1...8), Array(9...16))
    #expect(link(a + b) != link(b + a))
  }

  @Test func `line feeds are found at every place`() {
    var random = SplitMix64(seed: 14)
    for _ in 0..<100 {
      let bytes = (0..<random.below(300)).map { _ in random.chance(40) ? UInt8(10) : UInt8(random.below(256)) }
      let expected = bytes.indices.filter { bytes[$0] == 10 }.map(UInt32.init)
      bytes.withUnsafeBytes { bytes in
        for guess in [0, 1, expected.count, expected.count + 5] {
          #expect(Bytes.lineFeeds(in: bytes, expecting: guess) == expected)
        }
        #expect(Bytes.containsLineFeed(bytes) == !expected.isEmpty)
        #expect(Bytes.nonzeroEnd(of: bytes) == (bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0))
      }
    }
  }

  @Test func `the last byte that is not zero is found at every place`() {
    var bytes = [UInt8](repeating: 0, count: 70)
    for length in 0...70 {
      #expect(bytes.withUnsafeBytes { Bytes.nonzeroEnd(of: UnsafeRawBufferPointer(rebasing: $0[..<length])) } == 0)
    }
    for place in 0..<70 {
      bytes[place] = 128
      #expect(bytes.withUnsafeBytes { Bytes.nonzeroEnd(of: $0) } == place + 1)
      bytes[place] = 0
    }
  }
}
