@testable import PenstockLog
import PenstockTestKit
import Testing

@Suite struct SealPartsTests {
  private func time(_ nanoseconds: Int64) -> Timestamp { Timestamp(nanoseconds: nanoseconds) }

  @Test func `append times come back from their bytes, and each record has its own`() throws {
    var random = SplitMix64(seed: 6)
    for start in [Int64.min, -5, 0, 1_767_225_600_000_000_000] {
      var times = AppendTimes(time(start))
      var plain = [times.first]
      for index in 1..<300 {
        let rise = [0, 0, 1, 127, 128, 1_000_000_000, Int64.max / 1_000][random.below(7)]
        plain.append(time(plain[index - 1].nanoseconds + rise))
        times.step(at: index, plain[index])
      }
      let again = try AppendTimes(times.first, decoding: times.encoded(), count: 300)
      #expect(again == times)
      #expect((0..<300).map(again.time) == plain)
      for index in stride(from: 0, to: 300, by: 7) {
        #expect(again.firstIndex(atOrAfter: plain[index]) == plain.firstIndex(of: plain[index]))
      }
      #expect(again.firstIndex(atOrAfter: time(plain[299].nanoseconds + 1)) == nil)
    }
    var whole = AppendTimes(time(.min))
    whole.step(at: 1, time(.max))
    // The widest step of all does not rise as a signed number, so it cannot be written; a clock never does it.
    #expect(whole.steps.count == 1)
  }

  @Test(
    arguments: [
      [0x80], [1], [0, 1], [1, 0], [5, 1], [4, 1, 1, 1], [1, 0x80],
      [1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
    ] as [[UInt8]])
  func `append times that cannot be are refused`(bytes: [UInt8]) {
    #expect(throws: BlockFlaw.self) { try AppendTimes(time(0), decoding: bytes, count: 5) }
  }

  @Test func `trailer sections come back, and lengths that lie are refused`() throws {
    var sections = TrailerSections()
    sections.append(kind: 1, [1, 2, 3, 4])
    sections.append(kind: 9, [])
    let bytes = sections.encoded()
    #expect(try bytes.withUnsafeBytes { try TrailerSections(parsing: $0) } == sections)
    #expect(sections.carried.sections.map(\.kind) == [9])
    for cut in 1..<bytes.count where cut != 12 {
      #expect(throws: BlockFlaw.self) { try bytes[..<cut].withUnsafeBytes { try TrailerSections(parsing: $0) } }
    }
  }

  @Test func `sections are joined by their kind's rule, and a kind without a rule is never dropped`() throws {
    func block(_ kinds: [UInt16: [UInt8]]) -> TrailerSections {
      var sections = TrailerSections()
      for (kind, bytes) in kinds.sorted(by: { $0.key < $1.key }) { sections.append(kind: kind, bytes) }
      return sections
    }
    let joins: [UInt16: TrailerSections.Join] = [
      2: { parts in parts.flatMap { part in part.bytes.map { $0 + UInt8(part.firstRecord) } } }
    ]
    let blocks = [(block([1: [0], 2: [0, 1]]), 3), (block([3: [7]]), 4), (block([2: [1]]), 5)].map {
      (sections: $0.0, recordCount: $0.1)
    }
    #expect(TrailerSections.joined(blocks, joins: joins) == block([2: [0, 1, 8]]))
    #expect(TrailerSections.joined(blocks, joins: [:]) == nil)
    let unknown = block([1: [0], 77: [1, 2]])
    #expect(TrailerSections.joined([(unknown, 2)]) == block([77: [1, 2]]))
    #expect(TrailerSections.joined([(unknown, 2), (block([:]), 1)]) == nil)
  }

  @Test func `the plan takes the oldest first, never the newest, an empty one or one before a hole, and each once`() {
    func name(_ sequence: UInt64, _ base: UInt64) -> SegmentName {
      SegmentName(sequence: sequence, baseOffset: Offset(base))
    }
    var segments = [name(1, 0), name(2, 5), name(3, 5), name(5, 9), name(6, 12)]
    var plan = SealingPlan()
    #expect(plan.next(in: [] as [SegmentName]) == nil && plan.next(in: [name(1, 0)]) == nil)
    var order: [UInt64] = []
    while let job = plan.next(in: segments) {
      order.append(job.segment.sequence)
      #expect(plan.next(in: segments) == job)
      plan.finished(job, .later)
      #expect(plan.next(in: segments) == job)
      plan.finished(job, .done)
    }
    #expect(order == [1, 5])
    segments.append(name(7, 20))
    #expect(plan.next(in: segments)?.segment.sequence == 6)
    #expect(plan.next(in: segments.dropFirst(4))?.end == Offset(20))
  }

  @Test func `the rate is kept, and idle time is not saved up`() {
    var rate = RateLimit(bytesPerSecond: 1_000)
    #expect(rate.delay(after: 500, now: 0) == 500_000_000)
    #expect(rate.delay(after: 500, now: 500_000_000) == 500_000_000)
    #expect(rate.delay(after: 100, now: 60_000_000_000) == 100_000_000)
    #expect(rate.delay(after: 100, now: 60_000_000_000) == 200_000_000)
    var free = RateLimit(bytesPerSecond: 0)
    #expect(free.delay(after: 1 << 40, now: 5) == 0)
  }

  @Test func `what a seal says comes back from the header, and a header without one has zeros there`() throws {
    let plain = SegmentHeader(
      logID: Array(1...16), sequence: 3, epoch: 2, baseOffset: Offset(10), salt: Array(17...32), previousChain: 4,
      begunAt: time(5))
    var seal = SegmentSeal()
    seal.chain = 1
    seal.endOffset = Offset(2)
    seal.lastAppendTime = time(-3)
    seal.footerPosition = 4
    seal.fileLength = 5
    seal.originalBytes = 6
    seal.originalStoredBytes = 7
    seal.originalBlocks = 8
    let sealed = plain.sealed(seal, salt: Array(33...48))
    let again = try sealed.encoded().withUnsafeBytes { try SegmentHeader(decoding: $0) }
    #expect(again == sealed && again.seal == seal && again.incompatibleFeatures == 1 && !again.isWritable)
    #expect(again.chain == plain.sealed(SegmentSeal(), salt: Array(33...48)).chain && again.chain != plain.chain)
    #expect(plain.encoded()[112..<4092].allSatisfy { $0 == 0 })
  }
}
