@testable import PenstockLog
import PenstockTestKit
import Testing

/// What a power cut can leave of a block, and what it cannot.
@Suite struct TornWriteTests {
  /// A block as it stands in a segment, and the seed of its checksums.
  private func block() throws -> (bytes: [UInt8], header: BlockHeader, seed: UInt32) {
    let log = TestLog()
    let writer = try log.openWriter()
    var random = SplitMix64(seed: 3)
    let offsets = try writer.commit((0..<6).map { _ in random.bytes(900) })
    try #require(offsets.lowerBound == .zero)
    let file = try log.contents(log.newestSegment)
    let seed = try file.withUnsafeBytes { try SegmentHeader(decoding: $0).seed }
    let all = Array(file[8192...])
    let header = try all.withUnsafeBytes { try BlockHeader(decoding: $0, seed: seed) }
    return (Array(all[..<header.totalLength]), header, seed)
  }

  private func explains(_ bytes: [UInt8], _ seed: UInt32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      let header = try? BlockHeader(decoding: bytes, seed: seed)
      let part = header == nil ? UnsafeRawBufferPointer(rebasing: bytes[..<112]) : bytes
      return TornWrite.explains(header, part, seed: seed)
    }
  }

  @Test func `every set of sectors that did not reach the disk is a torn write`() throws {
    let (whole, header, seed) = try block()
    let sectors = whole.count / 512
    // Sectors with content: padding is zeros, torn or not.
    let payload = (header.frontLength / 512)..<sectors
    for missing in 0..<sectors where missing == 0 || payload.contains(missing) {
      for second in missing..<sectors {
        var bytes = whole
        for sector in [missing, second] {
          bytes.replaceSubrange((sector * 512)..<((sector + 1) * 512), with: [UInt8](repeating: 0, count: 512))
        }
        // Without its first sector there is no header, and no magic: the bytes are zeros.
        #expect(explains(bytes, seed), "sectors \(missing) and \(second)")
      }
    }
  }

  @Test func `a sector that holds a part of its bytes is a torn write`() throws {
    let (whole, _, seed) = try block()
    for cut in stride(from: 8, to: 504, by: 8) {
      var bytes = whole
      let start = bytes.count - 1024
      bytes.replaceSubrange((start + cut)..<(start + 512), with: [UInt8](repeating: 0, count: 512 - cut))
      #expect(explains(bytes, seed), "\(cut)")
    }
  }

  @Test func `no flipped bit in header or payload is a torn write`() throws {
    let (whole, header, seed) = try block()
    for place in 0..<whole.count where place < 112 || place >= header.frontLength {
      var bytes = whole
      bytes[place] ^= 1 << UInt8(place % 8)
      #expect(!explains(bytes, seed), "byte \(place)")
    }
  }

  @Test func `a block that the file's end cuts is a torn write`() throws {
    let (whole, header, seed) = try block()
    for count in [0, 100, 112, 512, whole.count - 1] {
      let isTorn = whole[..<count].withUnsafeBytes {
        TornWrite.explains(count < 112 ? nil : header, $0, seed: seed)
      }
      #expect(isTorn, "\(count)")
    }
  }
}
