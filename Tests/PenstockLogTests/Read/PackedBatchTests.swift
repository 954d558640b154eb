@testable import PenstockLog
import PenstockTestKit
import Testing

/// Large batches, which hold their blocks as they are stored.
@Suite struct PackedBatchTests {
  /// All that can be asked of a slice; frames and payloads too.
  private struct Look: Equatable {
    struct Record: Equatable {
      var offset: Offset
      var appendTime: Timestamp
      var bytes: [UInt8]
    }
    var range: Range<Offset>
    var byteCount: Int
    var firstAppendTime: Timestamp
    var frame: [UInt8]?
    var payload: [UInt8]
    var payloadCount: Int
    var ends: [UInt32]
    var records: [Record] = []

    init(_ slice: BlockSlice) {
      range = slice.first..<slice.end
      byteCount = slice.byteCount
      firstAppendTime = slice.firstAppendTime
      frame = slice.frame
      payload = slice.payload.bytes
      payloadCount = slice.payloadCount
      ends = slice.block.ends
      slice.forEachRecord {
        records.append(Record(offset: $0.offset, appendTime: $0.appendTime, bytes: Array($0.bytes)))
      }
    }
  }

  @Test(arguments: [false, true])
  func `a packed slice is in everything what it was decoded, whatever part of its block it is`(sealed: Bool) throws {
    let readers = BlockReaders()
    var (packed, left, stepped) = (0, 0, 0)
    for seed in 1...6 as ClosedRange<UInt64> {
      let (_, writer) = try SealFixture.opened(segments: 3, blockBytes: 8 << 10, seed: seed)
      if sealed { try writer.sealAll() }
      writer.view.retainCompressedFrames()
      for whole in try writer.view.batch(in: writer.view.set.first..<writer.view.end).slices {
        let block = whole.block
        for lower in 0..<block.count {
          for upper in (lower + 1)...block.count {
            let slice = BlockSlice(block: block, indices: lower..<upper)
            let other = slice.packed(unpackedBy: readers)
            let isEqual = Look(other) == Look(slice)
            #expect(isEqual, "seed \(seed), \(slice.first) ..< \(slice.end)")
            #expect(other.isPacked == (block.frame != nil))
            if other.isPacked { packed += 1 } else { left += 1 }
            if block.appendTimes.steps.count > 0 { stepped += 1 }
          }
        }
      }
    }
    #expect(packed > 0 && left > 0 && (stepped > 0) == sealed, "\(packed) packed, \(left) left, \(stepped) stepped")
  }

  /// 12 MiB in blocks of 0.3 MiB, some of which have a line feed in a record and so stay as they are.
  private static func log(keepingFrames: Bool = true) throws -> (view: LogView, records: [[UInt8]]) {
    let log = TestLog(seed: 3)
    let writer = try log.openWriter()
    var random = SplitMix64(seed: 3)
    var records: [[UInt8]] = []
    for number in 0..<40 {
      var batch = RecordBatch()
      for _ in 0..<100 {
        var record =
          Array(repeating: UInt8(ascii: "x"), count: 2_900 + random.below(200)) + Array("\(records.count)".utf8)
        if number % 9 == 4 { record[7] = 10 }
        batch.append(record)
        records.append(record)
      }
      log.clock.advance(nanoseconds: 1_000)
      _ = try writer.write([batch])
    }
    try writer.synchronize()
    try writer.publish()
    if keepingFrames { writer.view.retainCompressedFrames() }
    return (writer.view, records)
  }

  @Test func `a batch of more than 4 MiB packs all blocks that can be, and has its edges where a small one has them`()
    throws
  {
    let (view, records) = try Self.log()
    let (small, large) = (Batch.packedAbove - (1 << 20), 9 << 20)
    for first in [0, 1, 37, 99, 100, 250, 699] {
      for (bytes, isLarge) in [(small, false), (large, true)] {
        let batch = try #require(
          try view.batch(from: Offset(UInt64(first)), maxRecords: .max, maxBytes: bytes))
        let end = first + batch.count
        #expect(batch.byteCount <= bytes && batch.byteCount + records[end].count > bytes)
        #expect(batch.byteCount == records[first..<end].reduce(0) { $0 + $1.count })
        let isWhole = recordBytes(batch) == Array(records[first..<end])
        #expect(isWhole, "from \(first)")
        #expect(batch.slices.allSatisfy { $0.isPacked == (isLarge && !records[Int($0.first.rawValue)].contains(10)) })
        let again = try view.batch(in: batch.first..<batch.end)
        let isSame = recordBytes(again) == recordBytes(batch)
        #expect(isSame && again.slices.map(\.isPacked) == batch.slices.map(\.isPacked))
      }
    }
  }

  @Test func `a batch that is halved until one record is left has each record once`() throws {
    let (view, records) = try Self.log()
    var halves = [Offset.zero..<view.end]
    while let range = halves.popLast() {
      let batch = try view.batch(in: range)
      let isEqual =
        recordBytes(batch) == Array(records[Int(range.lowerBound.rawValue)..<Int(range.upperBound.rawValue)])
      #expect(isEqual && batch.count == range.upperBound - range.lowerBound, "\(range)")
      #expect(batch.slices.contains(where: \.isPacked) == (batch.byteCount > Batch.packedAbove))
      guard batch.count > 1 else { continue }
      let middle = range.lowerBound + batch.count / 2
      // One way down is enough.
      halves.append(batch.byteCount > Batch.packedAbove / 2 ? range.lowerBound..<middle : middle..<range.upperBound)
    }
  }

  @Test func `nothing is packed where nobody asked for frames`() throws {
    let (view, records) = try Self.log(keepingFrames: false)
    let batch = try view.batch(in: .zero..<view.end)
    #expect(!batch.slices.contains(where: \.isPacked) && batch.count == records.count)
  }

  @Test func `a packed batch is read by several at once`() async throws {
    let (view, records) = try Self.log()
    let batch = try view.batch(in: .zero..<view.end)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 { group.addTask { recordBytes(batch) == records } }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}
