import PenstockSimulation
import PenstockTestKit
import Testing

/// A slice of `make lab-sweep`, which flips every bit of a larger image.
@Suite struct ImageSweepTests {
  private let bytes = 64 << 10

  @Test func `damage of every kind is noticed and takes no more than what it touches`() throws {
    let sweep = try ImageSweep(segmentBytes: bytes)
    let bits = try sweep.bits(stride: 61)
    #expect(sweep.extent.blocks > 8 && bits.tried > 5_000 && bits.blocksLost == 1)
    #expect(bits.isClean, "\(bits.silent.first ?? bits.excess.first ?? "")")
    let openings = try sweep.openings(stride: 2)
    #expect(openings.map(\.0).count == 5)
    for (name, count) in openings {
      #expect(count.tried > 4 && count.isClean, "\(name): \(count.silent.first ?? count.excess.first ?? "")")
      if name != "truncations" { #expect((1...2).contains(count.blocksLost), "\(name)") }
    }
    print("image sweep: \(bits.tried) bits, \(openings.map { "\($0.1.tried) \($0.0)" }.joined(separator: ", "))")
  }

  @Test func `a reader that loses the block after the damaged one is found`() throws {
    let sweep = try ImageSweep(segmentBytes: bytes, injecting: .losesTheNext)
    let bits = try sweep.bits(stride: 997)
    #expect(!bits.isClean && bits.silent.isEmpty && bits.blocksLost == 2)
    for (name, count) in try sweep.openings(stride: 8) where name != "truncations" {
      #expect(!count.excess.isEmpty && count.silent.isEmpty, "\(name)")
    }
  }

  @Test func `a seek that ends next to its record is found`() throws {
    let openings = try ImageSweep(segmentBytes: 256 << 10, injecting: .seeksTheNext).openings(stride: 64)
    for (name, count) in openings { #expect(!count.silent.isEmpty, "\(name)") }
  }

  @Test func `a seek into a damaged segment comes to what reading it from the beginning came to`() throws {
    // So large that a block is looked for without the index.
    for (name, count) in try ImageSweep(segmentBytes: 256 << 10).openings(stride: 16) {
      #expect(count.tried > 4 && count.isClean, "\(name): \(count.silent.first ?? count.excess.first ?? "")")
    }
  }

  @Test func `a record that is served with other bytes is found`() throws {
    let openings = try ImageSweep(segmentBytes: bytes, injecting: .servesAnother).openings(stride: 16)
    for (name, count) in openings where name != "truncations" { #expect(!count.silent.isEmpty, "\(name)") }
  }
}
