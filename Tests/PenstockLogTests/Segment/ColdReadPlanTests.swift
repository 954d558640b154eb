import Testing

@testable import PenstockLog

/// What a first look into a segment asks the disk for.
@Suite struct ColdReadPlanTests {
  private let size: UInt64 = 64 << 20
  private let header: Range<UInt64> = 0..<8_192
  private var index: Range<UInt64> { (size - (128 << 10))..<size }

  @Test func `the header, the block where it lies if all are alike, and the index`() {
    #expect(ColdReadPlan().ranges(fileBytes: size) == [header, index])
    let middle = ColdReadPlan(at: Offset(1_500), in: Offset(1_000), Offset(2_000))
    let place: UInt64 = 8_192 + ((64 << 20) - 8_192 - (64 << 10)) / 2
    let around = (place - (64 << 10))..<(place + (64 << 10))
    #expect(middle.neighbourhood(fileBytes: size) == ColdReadPlan.Neighbourhood(place: place, range: around))
    #expect(middle.ranges(fileBytes: size) == [header, around, index])
  }

  @Test func `nothing is asked for twice, before the first block or behind the file`() {
    for offset in 0..<1_000 {
      let look = ColdReadPlan(at: Offset(UInt64(offset)), in: .zero, Offset(1_000))
      let ranges = look.ranges(fileBytes: size)
      #expect(ranges.count == 3 && ranges.first == header && ranges.last == index)
      #expect(ranges[1].lowerBound >= 8_192 && ranges[1].upperBound <= index.lowerBound && ranges[1].count <= 128 << 10)
    }
    let first = ColdReadPlan(at: .zero, in: .zero, Offset(1_000)).ranges(fileBytes: size)
    #expect(first == [header, 8_192..<(8_192 + (64 << 10)), index])
  }

  @Test func `a small file, and an offset of another segment, ask for less`() {
    let look = ColdReadPlan(at: Offset(7), in: .zero, Offset(10))
    for bytes: UInt64 in [0, 1, 8_192, 8_192 + (128 << 10)] { #expect(look.ranges(fileBytes: bytes).isEmpty) }
    #expect(look.neighbourhood(fileBytes: 8_193 + (128 << 10)) == nil, "all of it is the index's")
    for offset: UInt64 in [9, 20, 21] {
      #expect(ColdReadPlan(at: Offset(offset), in: Offset(10), Offset(20)).ranges(fileBytes: size) == [header, index])
    }
    // So near the end that what is read for an index may hold the place.
    let far = ColdReadPlan(at: Offset(.max - 1), in: Offset(.max - 1_000_000), Offset(.max)).ranges(fileBytes: size)
    #expect(far[1].upperBound == index.lowerBound)
  }
}
