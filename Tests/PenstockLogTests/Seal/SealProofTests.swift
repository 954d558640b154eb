@testable import PenstockLog
import PenstockTestKit
import Testing

/// A wrong re-encode never takes its original's place.
@Suite struct SealProofTests {
  private let bench: SealFixture
  private let writer: LogWriter

  init() throws {
    bench = try SealFixture(segments: 3)
    writer = try bench.log.openWriter()
  }

  private var job: SealingPlan.Job {
    get throws { try #require(SealingPlan().next(in: writer.view.set.segments.map(\.name))) }
  }

  private func original() throws -> SegmentBlocks {
    let job = try job
    let path = TestLog.paths.segment(job.segment)
    let file = OpenFile(bench.log.disk, try bench.log.disk.open(path, .readOnly))
    let header = try SegmentScanner.readHeader(bench.log.disk, file.handle, path: path)
    return SegmentBlocks(file, header, limit: job.end, path: path)
  }

  /// Writes a valid sealed file of the oldest segment, whose blocks went through `change`. Returns the proof's
  /// complaint.
  private func proof(
    grouping limit: Int = 24 << 10, _ change: (ReadBlock) throws -> ReadBlock? = { $0 },
    finish: (inout SegmentSeal) -> Void = { _ in }
  ) throws -> String? {
    var reading = try original()
    let path = TestLog.paths.sealing(try job.segment)
    var file = try SealedFile(
      bench.log.disk, path, of: reading.scanner.header, salt: [UInt8](repeating: 7, count: 16), level: 3)
    var group: SealGroup?
    var seal = SegmentSeal()
    while let read = try reading.next() {
      guard let block = try change(read) else { continue }
      if group?.take(block) != true {
        if let full = group { try file.write(full) }
        group = SealGroup(block, limit: limit)
      }
    }
    if let last = group { try file.write(last) }
    seal.chain = try #require(reading.cursor.chain)
    finish(&seal)
    _ = try file.finish(seal)
    var again = try original()
    let finished = OpenFile(bench.log.disk, try bench.log.disk.open(path, .readOnly))
    do throws(LogError) {
      try SealProof.prove(finished, path: path, equals: &again)
    } catch {
      #expect(error.code == .damaged)
      return error.message
    }
    return nil
  }

  /// The same block, with other records or times.
  private func rewritten(
    _ read: ReadBlock, times: AppendTimes? = nil, eventTimes: ClosedRange<Int64>?? = nil,
    _ change: (inout [UInt8], inout [UInt32]) -> Void = { _, _ in }
  ) -> ReadBlock {
    var (payload, ends) = (read.block.payload.bytes, read.block.ends)
    change(&payload, &ends)
    var header = read.header
    header.rawLength = payload.count
    header.recordCount = ends.count
    header.flags |= BlockFormat.lengthsFlag
    if let eventTimes { header.eventTimes = eventTimes }
    return ReadBlock(
      header,
      DecodedBlock(
        baseOffset: read.block.baseOffset, appendTimes: times ?? read.block.appendTimes, payload: BlockPayload(payload),
        ends: ends),
      read.sections)
  }

  @Test func `a true re-encode is accepted, however its blocks are joined`() throws {
    for limit in [1, 8 << 10, 1 << 20] { #expect(try proof(grouping: limit) == nil) }
    let complaint = try proof { rewritten($0) }
    #expect(complaint == nil)
  }

  @Test func `one changed byte of one record is found`() throws {
    var hasChanged = false
    let complaint = try proof { block in
      guard !hasChanged, block.block.baseOffset > Offset(9), block.block.ends[0] > 0 else { return block }
      hasChanged = true
      return rewritten(block) { payload, _ in payload[0] ^= 1 }
    }
    #expect(hasChanged && complaint?.contains("is different") == true)
  }

  @Test func `a boundary between two records that moved is found`() throws {
    var hasChanged = false
    let complaint = try proof { block in
      guard !hasChanged, block.block.count > 1, block.block.ends[0] > 0 else { return block }
      hasChanged = true
      // "ab⏎cd⏎" becomes "a⏎bcd⏎"
      return rewritten(block) { payload, ends in
        payload.swapAt(Int(ends[0]), Int(ends[0]) - 1)
        ends[0] -= 1
      }
    }
    #expect(hasChanged && complaint?.contains("is different") == true)
  }

  @Test func `another append time is found`() throws {
    let complaint = try proof { block in
      guard block.block.baseOffset > Offset(9) else { return block }
      return rewritten(block, times: AppendTimes(Timestamp(nanoseconds: block.block.appendTime.nanoseconds + 1)))
    }
    #expect(complaint?.contains("is different") == true)
  }

  @Test func `other event times are found`() throws {
    let complaint = try proof { rewritten($0, eventTimes: 0...1) }
    #expect(complaint?.contains("event times") == true)
  }

  @Test func `a missing last block and another chain are found`() throws {
    let last = try #require(writer.view.set.segments[0].entries(upTo: Offset(.max)).last)
    let complaint = try proof { $0.block.baseOffset == last.baseOffset ? nil : $0 }
    #expect(complaint != nil)
    #expect(try proof(finish: { $0.chain ^= 1 })?.contains("seal does not fit") == true)
  }

  @Test func `the proof is of what the disk holds, and without it nothing is replaced`() throws {
    let image = bench.log.killed()
    let next = try image.openWriter()
    image.disk.cacheDropping = .fails
    #expect(code { try next.sealAll() } == .io)
    let isSealed = try next.view.set.segments.map { try $0.open().1.isSealed }
    #expect(!isSealed.contains(true))
    image.disk.cacheDropping = .works
    #expect(try bench.isWhole(image.killed().openWriter().view))
  }

  @Test func `a disk that loses or misplaces a write of the sealed file never costs a record`() throws {
    var log = bench.log.killed()
    try log.openWriter().sealAll()
    let ios = log.disk.ioCount
    var left = 0
    for number in 1...ios {
      for misdirected in [false, true] {
        log = bench.log.killed()
        if misdirected { log.disk.misdirect(atIO: number, to: 4_000) } else { log.disk.pretend(atIO: number) }
        guard let writer = try? log.openWriter() else { continue }
        let outcomes = try? writer.sealAll()
        left += outcomes?.count(where: \.isLeft) ?? 0
        #expect(try bench.isWhole(log.killed().openWriter().view), "I/O \(number)")
      }
    }
    #expect(left > 2)
  }
}
