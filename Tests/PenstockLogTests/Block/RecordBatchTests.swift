@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct RecordBatchTests {
  private func content(_ batch: RecordBatch) -> [[UInt8]] {
    var start = 0
    return batch.ends.map { end in
      defer { start = Int(end) + 1 }
      return Array(batch.payload[start..<Int(end)])
    }
  }

  @Test func `holds what was appended, with and without line feeds, in every mixture`() {
    let shapes: [[UInt8]] = [[], [65], [10], [10, 10], Array("a\nb".utf8), Array("plain".utf8), [0, 10, 0]]
    for first in shapes {
      for second in shapes {
        for third in shapes {
          let all = [first, second, third]
          let batch = batch(all)
          #expect(content(batch) == all)
          #expect(batch.count == 3)
          #expect(batch.byteCount == all.reduce(0) { $0 + $1.count })
          #expect(batch.longestRecord == all.map(\.count).max())
          #expect(batch.containsLineFeed == all.contains { $0.contains(10) })
        }
      }
    }
  }

  @Test func `takes strings, arrays, lazy sequences and raw buffers alike`() {
    var batch = RecordBatch(reservingBytes: 100)
    batch.append("héllo")
    batch.append(Array("héllo".utf8))
    batch.append("héllo".utf8.lazy.map { $0 })
    Array("héllo".utf8).withUnsafeBytes { batch.append($0) }
    batch.append(UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(content(batch) == [[UInt8]](repeating: Array("héllo".utf8), count: 4) + [[]])
  }

  @Test func `knows the span of the event times`() {
    var batch = RecordBatch()
    batch.append("a")
    #expect(batch.eventTimes == nil)
    for time in [5, -3, 4] as [Int64] { batch.append("a", eventTime: Timestamp(nanoseconds: time)) }
    batch.append("a")
    #expect(batch.eventTimes == -3...5)
  }

  @Test func `is as new after removing everything`() {
    var batch = RecordBatch()
    batch.append("a\nb", eventTime: Timestamp(nanoseconds: 1))
    batch.removeAll()
    #expect(batch.isEmpty)
    #expect(batch.byteCount == 0)
    #expect(batch.longestRecord == 0)
    #expect(batch.eventTimes == nil)
    #expect(!batch.containsLineFeed)
    batch.append("c")
    #expect(content(batch) == [Array("c".utf8)])
  }
}
