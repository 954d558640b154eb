@testable import PenstockLog
import PenstockTestKit
import Testing

/// Offsets come from people and from other programs: no arithmetic on them ends the process.
@Suite(.timeLimit(.minutes(1))) struct OffsetTests {
  private static let edges: [UInt64] = [0, 1, 2, UInt64(Int64.max) - 1, UInt64(Int64.max), 1 << 63, .max - 1, .max]

  @Test func `sums and differences end at the ends of their range`() {
    for raw in Self.edges {
      for count in [Int.min, -2, -1, 0, 1, 2, .max] {
        let exact = Int128(raw) + Int128(count)
        #expect(Int128((Offset(raw) + count).rawValue) == min(max(exact, 0), Int128(UInt64.max)))
      }
      for other in Self.edges {
        let exact = Int128(raw) - Int128(other)
        #expect(Int128(Offset(raw) - Offset(other)) == min(max(exact, -Int128(Int.max)), Int128(Int.max)))
      }
    }
  }

  @Test func `any two places can be the ends of a reading`() async throws {
    let test = TestLog()
    let log = try await test.open()
    for number in 0..<5 { try await log.append(batch([record(number)])) }
    for first in Self.edges {
      for end in Self.edges {
        for readAhead in [ReadAhead.none, .threads(1)] {
          var found: [Offset] = []
          let records = log.records(from: .offset(Offset(first)), to: .offset(Offset(end)), readAhead: readAhead)
          // Where the log ends before the reading does, it ends with the log.
          for try await record in records.batches(maxRecords: 0, maxBytes: -1) { found.append(record.first) }
          let expected = first < min(end, 5) ? (first..<min(end, 5)).map { Offset($0) } : []
          #expect(found == expected, "\(first) to \(end)")
        }
      }
    }
    try await log.close()
  }

  @Test func `a cursor refuses places and gaps that cannot be`() async throws {
    let test = TestLog()
    let log = try await test.open()
    for number in 0..<5 { try await log.append(batch([record(number)])) }
    let cursor = try await log.cursor(named: "c")
    for raw in Self.edges where raw > 5 {
      await #expect(throws: LogError.self) { try await cursor.seek(to: .offset(Offset(raw))) }
      await #expect(throws: LogError.self) {
        try await cursor.acknowledge(Gap(first: .zero, end: Offset(raw), reason: .damaged))
      }
      await #expect(throws: LogError.self) {
        try await cursor.acknowledge(Gap(first: Offset(raw), end: .zero, reason: .damaged))
      }
      await #expect(throws: LogError.self) {
        try await log.cursor(named: "d", startingAt: .offset(Offset(raw)))
      }
    }
    #expect(try await cursor.next(upTo: .init(records: 0, bytes: -1))?.count == 1)
    #expect(Gap(first: Offset(.max), end: .zero, reason: .damaged).description.isEmpty == false)
    try await log.close()
  }
}
