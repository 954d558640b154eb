import Foundation
@testable import PenstockLog
import PenstockSimulation
import PenstockTestKit
import Testing

/// One small log, damaged at every place there is: nothing wrong is ever served, and nothing that was acknowledged is
/// missing without a word.
@Suite struct SweepTests {
  /// A log of two segments and nine blocks, some of several pages; every record acknowledged.
  private struct Image {
    let log: TestLog
    let records: [[UInt8]]
    let digests: [UInt64]
    /// For each block, its records' offsets.
    let blocks: [Range<Int>]

    init(closed: Bool) throws {
      let log = TestLog()
      var random = SplitMix64(seed: 41)
      var writer: LogWriter? = try log.openWriter()
      var records: [[UInt8]] = []
      var blocks: [Range<Int>] = []
      func commit(_ batch: [[UInt8]]) throws {
        let offsets = try #require(try writer?.commit(batch))
        blocks.append(Int(offsets.lowerBound.rawValue)..<Int(offsets.upperBound.rawValue))
        records += batch
      }
      // One large block, so that the second segment comes soon.
      try commit([random.bytes(45_000)])
      for number in 1..<7 { try commit([record(number), [10, UInt8(number)], []]) }
      try commit([random.bytes(5_000), record(7)])
      try commit([record(8)])
      if closed { try writer?.close() }
      writer = nil
      self.log = log.killed()
      self.records = records
      digests = records.map { History.digest($0) }
      self.blocks = blocks
      try #require(log.segments.count == 2)
    }

    /// Opens a damaged copy and reads it; returns what is wrong with the answer.
    func judge(_ damaged: TestLog) -> String? {
      do throws(LogError) {
        return DamagedReading(try damaged.openWriter(), of: digests).flaws.first
      } catch {
        return error.code == .damaged ? nil : "refused with \(error)"
      }
    }

    func lostBlocks(_ damaged: TestLog) throws -> Int {
      let reading = try Reading(damaged.openWriter().view)
      return blocks.count { block in block.contains { reading.records[Offset(UInt64($0))] == nil } }
    }
  }

  private static let isFull = ProcessInfo.processInfo.environment["PENSTOCK_SWEEP"] == "full"

  /// The bytes of a file that are swept: all, with `PENSTOCK_SWEEP=full`. Else every other byte at the beginning and
  /// the end of each page, and every 32nd deep inside payload and padding.
  private func positions(_ count: Int, phase: Int) -> [Int] {
    (0..<count).filter { position in
      let inPage = position % 4096
      return Self.isFull || (inPage < 132 || inPage >= 4096 - 40 ? position % 2 == phase : position % 32 == 5 + phase)
    }
  }

  @Test(arguments: [false, true])
  func `any one flipped bit loses at most one block, and never silently`(closed: Bool) throws {
    let image = try Image(closed: closed)
    var count = 0
    for path in image.log.segments {
      let size = min(try image.log.contents(path).count, 40 << 10)
      for position in positions(size, phase: closed ? 1 : 0) {
        let damaged = image.log.killed()
        damaged.disk.flipBit(path, at: position, bit: (position * 7) % 8)
        count += 1
        if let wrong = image.judge(damaged) { Issue.record("\(path), byte \(position): \(wrong)") }
        if position % 7 == 0, try image.lostBlocks(damaged.killed()) > 1 {
          Issue.record("\(path), byte \(position): more than one block is lost")
        }
      }
    }
    #expect(count > 3_000)
  }

  @Test func `any one flipped bit in META, the commit point or a lock harms no record`() throws {
    let image = try Image(closed: true)
    let paths = TestLog.paths
    for path in [paths.meta, paths.commitPoint, paths.lock] {
      for position in 0..<(try image.log.contents(path).count) where Self.isFull || position % 4096 < 128 {
        let damaged = image.log.killed()
        damaged.disk.flipBit(path, at: position, bit: position % 8)
        let writer = try damaged.openWriter()
        let isWhole = try Reading(writer.view).inOrder == image.records
        if !isWhole || writer.recovery.outcome != .clean { Issue.record("\(path), byte \(position)") }
      }
    }
  }

  @Test(arguments: [false, true])
  func `the newest segment, cut off anywhere, never loses a record silently`(closed: Bool) throws {
    let image = try Image(closed: closed)
    let path = try image.log.newestSegment
    let whole = try image.log.contents(path)
    let used = whole.withUnsafeBytes { Bytes.nonzeroEnd(of: $0) }
    let lengths = positions(min(whole.count, BlockFormat.alignedUp(used) + 1), phase: closed ? 1 : 0)
    for length in lengths {
      let damaged = image.log.killed()
      damaged.disk.install(path, Array(whole[..<length]))
      if let wrong = image.judge(damaged) { Issue.record("cut to \(length) bytes: \(wrong)") }
    }
    #expect(lengths.count > 1_000)
  }

  @Test func `any one sector zeroed, or swapped with another, is never served and never silent`() throws {
    let image = try Image(closed: false)
    for path in image.log.segments {
      let bytes = try image.log.contents(path)
      let sectors = min(bytes.count, 64 << 10) / 512
      for sector in 0..<sectors {
        let range = (sector * 512)..<(sector * 512 + 512)
        let zeroed = image.log.killed()
        zeroed.disk.overwrite(path, at: range.lowerBound, [UInt8](repeating: 0, count: 512))
        if let wrong = image.judge(zeroed) { Issue.record("\(path), sector \(sector) zeroed: \(wrong)") }
        let other = ((sector * 31) % sectors) * 512
        let swapped = image.log.killed()
        swapped.disk.overwrite(path, at: range.lowerBound, Array(bytes[other..<(other + 512)]))
        swapped.disk.overwrite(path, at: other, Array(bytes[range]))
        if let wrong = image.judge(swapped) { Issue.record("\(path), sectors \(sector) and \(other / 512): \(wrong)") }
      }
    }
  }

  @Test func `any two blocks swapped, or one in place of another, are never served there`() throws {
    let image = try Image(closed: false)
    for path in image.log.segments {
      let bytes = try image.log.contents(path)
      let pages = min(bytes.count, 64 << 10) / 4096
      func page(_ index: Int) -> [UInt8] { Array(bytes[(index * 4096)..<(index * 4096 + 4096)]) }
      for first in 0..<pages {
        for second in 0..<pages where second != first {
          let copied = image.log.killed()
          copied.disk.overwrite(path, at: first * 4096, page(second))
          if let wrong = image.judge(copied) { Issue.record("\(path), page \(second) over \(first): \(wrong)") }
          guard first < second else { continue }
          let swapped = image.log.killed()
          swapped.disk.overwrite(path, at: first * 4096, page(second))
          swapped.disk.overwrite(path, at: second * 4096, page(first))
          if let wrong = image.judge(swapped) { Issue.record("\(path), pages \(first) and \(second): \(wrong)") }
        }
      }
    }
  }

  @Test func `the sweep itself finds a wrong answer`() throws {
    let image = try Image(closed: false)
    let other = TestLog(seed: 9)
    try other.openWriter().commit(record(1))
    #expect(image.judge(other.killed())?.contains("wrong bytes") == true)
    let short = image.log.killed()
    try short.remove(short.newestSegment)
    try short.remove(TestLog.paths.commitPoint)
    #expect(image.judge(short)?.contains("silently") == true)
    #expect(image.judge(image.log.killed()) == nil)
  }
}
