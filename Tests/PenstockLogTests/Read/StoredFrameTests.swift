@testable import PenstockLog
import PenstockTestKit
import Testing

/// What an S3 object is made of.
@Suite struct StoredFrameTests {
  @Test(arguments: [false, true])
  func `a block keeps the frame it was decompressed from, where its lines are its records`(sealed: Bool) throws {
    var (kept, left) = (0, 0)
    for seed in 1...6 as ClosedRange<UInt64> {
      let (bench, writer) = try SealFixture.opened(segments: 3, blockBytes: 8 << 10, seed: seed)
      if sealed { try writer.sealAll() }
      writer.view.retainCompressedFrames()
      for slice in try writer.view.batch(in: writer.view.set.first..<writer.view.end).slices {
        let records = bench.expected[Int(slice.first.rawValue)..<Int(slice.end.rawValue)]
        guard let frame = slice.frame else {
          #expect(records.contains { $0.bytes.contains(10) })
          left += 1
          continue
        }
        #expect(!records.contains { $0.bytes.contains(10) })
        let content = try frame.withUnsafeBytes { try Zstd.decompress($0, count: slice.block.payload.count) }
        let isEqual = content == records.flatMap { $0.bytes + [10] }
        #expect(isEqual && slice.block.footprint > content.count + frame.count)
        #expect(BlockSlice(block: slice.block, indices: 0..<(slice.block.count - 1)).frame == nil)
        kept += 1
      }
    }
    #expect(kept > 0 && left > 0, "\(kept) kept, \(left) left")
  }

  @Test func `nobody keeps frames that nobody asked for`() throws {
    let bench = try SealFixture(segments: 2, blockBytes: 8 << 10)
    let view = try bench.log.openWriter().view
    #expect(try view.batch(in: view.set.first..<view.end).slices.allSatisfy { $0.frame == nil })
  }
}
