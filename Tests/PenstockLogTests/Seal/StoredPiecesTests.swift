import PenstockLog
import PenstockTestKit
import Testing

/// What an S3 object is made of.
@Suite struct StoredPiecesTests {
  private func lines(_ expected: some Sequence<SealBench.Expected>) -> [UInt8] { expected.flatMap { $0.bytes + [10] } }

  private func content(_ pieces: [StoredPiece], _ bench: SealBench) throws -> [UInt8] {
    var content: [UInt8] = []
    for piece in pieces {
      switch piece {
      case .frame(let frame):
        content += try frame.bytes.withUnsafeBytes { try Zstd.decompress($0, count: frame.rawLength) }
      case .records(let offsets):
        content += lines(bench.expected[Int(offsets.lowerBound.rawValue)..<Int(offsets.upperBound.rawValue)])
      }
    }
    return content
  }

  @Test(arguments: [false, true])
  func `the pieces of any range decompress to its records`(sealed: Bool) throws {
    let bench = try SealBench(segments: 3, blockBytes: 8 << 10)
    let writer = try bench.log.openWriter()
    if sealed { try writer.sealAll() }
    var random = SplitMix64(seed: 8)
    var (frames, edges) = (0, 0)
    for _ in 0..<60 {
      let first = random.below(bench.expected.count)
      let end = first + 1 + random.below(bench.expected.count - first)
      let pieces = try writer.view.storedFrames(in: Offset(UInt64(first))..<Offset(UInt64(end)))
      #expect(pieces.first?.offsets.lowerBound == Offset(UInt64(first)))
      #expect(pieces.last?.offsets.upperBound == Offset(UInt64(end)))
      #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.offsets.upperBound == $1.offsets.lowerBound })
      let isEqual = try content(pieces, bench) == lines(bench.expected[first..<end])
      #expect(isEqual)
      for piece in pieces {
        guard case .frame(let frame) = piece else {
          edges += 1
          continue
        }
        frames += 1
        let records = bench.expected[Int(frame.offsets.lowerBound.rawValue)..<Int(frame.offsets.upperBound.rawValue)]
        #expect(!records.contains { $0.bytes.contains(10) } || frame.containsLineFeed)
      }
    }
    #expect(frames > 20 && edges > 30)
  }

  @Test func `neighbouring edges are one range, a damaged frame is a gap, and the end is the end`() throws {
    let log = TestLog()
    let writer = try log.openWriter()
    for _ in 0..<3 { try writer.commit(record(0), record(1)) }
    let range = Offset(1)..<Offset(3)
    let pieces = try writer.view.storedFrames(in: range)
    #expect(pieces.count == 1 && pieces[0].offsets == range)
    #expect(throws: LogError.self) { try writer.view.storedFrames(in: Offset(5)..<Offset(7)) }
    #expect(throws: LogError.self) { try writer.view.storedFrames(in: Offset(5)..<Offset(5)) }
    log.disk.flipBit(try log.newestSegment, at: 8192 + 4096 + 4095, bit: 0)
    let error = #expect(throws: LogError.self) { try writer.view.storedFrames(in: .zero..<Offset(6)) }
    #expect(error?.gap.map { [$0.first, $0.end] } == [Offset(2), Offset(4)])
  }
}
